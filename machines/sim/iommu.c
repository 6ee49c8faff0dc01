/* SPDX-License-Identifier: MIT */
/*
 * iommu.c - what each requester may reach, and where that is, for functions whose requests are
 * translated; callers look at function->iommu.
 *
 * A domain per requester, made with its first mapping, holds mappings as they were made.  The pages
 * follow from them: 2 MiB where both sides lie alike and there is room, else 4 KiB.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fabric.h"
#include "rule.h"

#define PAGE       4096u
#define LARGE_PAGE (2ull << 20)
#define IOVA_BASE  (1ull << 20)
/* Interrupts: no write to it is translated. */
#define MESSAGE_BASE  0xfee00000ull
#define MESSAGE_LIMIT 0xfeefffffull

struct mapping {
	uint64_t iova, length, phys;
	enum p2pdma_op op;
};

struct domain {
	struct p2pdma_bdf requester;
	uint64_t next; /* where to look for room first */
	size_t count;
	struct mapping *mappings; /* by iova */
	size_t last;              /* the one that was hit last */
};

struct iommu {
	size_t count;
	struct domain *domains; /* by requester */
	size_t last;
	size_t window_count;
	struct address_range *windows; /* of boot */
};

int iommu_new(struct fabric *fabric)
{
	fabric->iommu_tables = calloc(1, sizeof(*fabric->iommu_tables));
	return fabric->iommu_tables ? 0 : -ENOMEM;
}

void iommu_free(struct fabric *fabric)
{
	struct iommu *iommu = fabric->iommu_tables;

	for (size_t i = 0; iommu && i < iommu->count; i++)
		free(iommu->domains[i].mappings);
	if (iommu) {
		free(iommu->domains);
		free(iommu->windows);
	}
	free(iommu);
	fabric->iommu_tables = NULL;
}

int iommu_boot(struct fabric *fabric)
{
	struct iommu *iommu = fabric->iommu_tables;

	for (size_t i = 0; i < fabric->root_count; i++) {
		const struct segment *segment = fabric->roots[i].segment;

		for (size_t j = 0; j < segment->member_count; j++) {
			struct address_range ranges[MOST_RANGES];
			size_t count = decode_ranges(segment->members[j], ranges);

			for (size_t k = 0; k < count; k++) {
				if (!fabric_grow(&iommu->windows, iommu->window_count,
				                 sizeof(ranges[0])))
					return -ENOMEM;
				iommu->windows[iommu->window_count++] = ranges[k];
			}
		}
	}
	return 0;
}

static uint64_t key_of(struct p2pdma_bdf bdf)
{
	return (uint64_t)bdf.domain << 16 | (uint64_t)bdf.bus << 8 | bdf.devfn;
}

/* The first domain that is not before @requester's, or count. */
static size_t domain_at(struct iommu *iommu, struct p2pdma_bdf requester)
{
	size_t low = 0, high = iommu->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (key_of(iommu->domains[middle].requester) < key_of(requester))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct domain *find_domain(struct iommu *iommu, struct p2pdma_bdf requester)
{
	uint64_t key = key_of(requester);

	if (iommu->last >= iommu->count || key_of(iommu->domains[iommu->last].requester) != key)
		iommu->last = domain_at(iommu, requester);
	if (iommu->last == iommu->count || key_of(iommu->domains[iommu->last].requester) != key)
		return NULL;
	return &iommu->domains[iommu->last];
}

static struct domain *add_domain(struct iommu *iommu, struct p2pdma_bdf requester)
{
	size_t at = domain_at(iommu, requester);
	struct domain *domains;

	if (!fabric_grow(&iommu->domains, iommu->count, sizeof(*domains)))
		return NULL;
	domains = iommu->domains;
	memmove(domains + at + 1, domains + at, (iommu->count++ - at) * sizeof(*domains));
	domains[at] = (struct domain){ .requester = requester, .next = IOVA_BASE };
	return &domains[at];
}

static uint64_t limit_of(const struct mapping *mapping)
{
	return mapping->iova + mapping->length - 1;
}

/* The first mapping that ends above @iova, or count. */
static size_t mapping_at(const struct domain *domain, uint64_t iova)
{
	size_t low = 0, high = domain->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (limit_of(&domain->mappings[middle]) < iova)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool overlaps(uint64_t iova, uint64_t length, uint64_t base, uint64_t limit)
{
	return iova <= limit && (base <= iova || base - iova < length);
}

static uint64_t end_of(const struct fabric *fabric)
{
	return 1ull << fabric->iova_bits;
}

static void step_over(uint64_t base, uint64_t limit, uint64_t length, uint64_t *at)
{
	if (overlaps(*at, length, base, limit))
		*at = limit < UINT64_MAX / 2 ? limit + 1 : UINT64_MAX / 2;
}

/* Over what functions answer to, and what they did at boot: as by then they may again. */
static int step_over_windows(const struct fabric *fabric, uint64_t length, uint64_t *at)
{
	const struct iommu *iommu = fabric->iommu_tables;

	for (size_t i = 0; RULE(SIM_IOVA_WINDOW) && i < iommu->window_count; i++)
		step_over(iommu->windows[i].base, iommu->windows[i].limit, length, at);
	for (size_t i = 0; i < fabric->root_count; i++) {
		struct segment *segment = fabric->roots[i].segment;

		decode_address(segment, 0); /* brings the claims up to date */
		if (segment->is_stale)
			return -ENOMEM;
		for (size_t j = 0; j < segment->claim_count; j++)
			step_over(segment->claims[j].base, segment->claims[j].limit, length, at);
	}
	return 0;
}

/*
 * Room for memory: in nobody's window, where a switch would take it for a peer's, and not where
 * interrupts are.
 */
static int find_room(const struct fabric *fabric, const struct domain *domain, uint64_t base,
                     uint64_t length, uint64_t align, uint64_t *ret_iova)
{
	uint64_t at = base, before, end = end_of(fabric);
	int r = 0;

	do {
		size_t next;

		at = (at + align - 1) & ~(align - 1);
		before = at;
		if (at > end || length > end - at)
			return -ENOSPC;
		step_over(MESSAGE_BASE, MESSAGE_LIMIT, length, &at);
		next = mapping_at(domain, at);
		if (next < domain->count)
			step_over(domain->mappings[next].iova, limit_of(&domain->mappings[next]),
			          length, &at);
		r = step_over_windows(fabric, length, &at);
	} while (!r && at != before);
	if (!r)
		*ret_iova = at;
	return r;
}

static int check_fixed(const struct fabric *fabric, const struct domain *domain, uint64_t iova,
                       uint64_t length)
{
	size_t next = mapping_at(domain, iova);
	uint64_t end = end_of(fabric);

	if (RULE(SIM_IOVA_RANGE) && (iova > end || length > end - iova ||
	                             overlaps(iova, length, MESSAGE_BASE, MESSAGE_LIMIT)))
		return -ERANGE;
	return next < domain->count && overlaps(iova, length, domain->mappings[next].iova,
	                                        limit_of(&domain->mappings[next]))
	               ? -EEXIST
	               : 0;
}

int iommu_map(struct fabric *fabric, struct p2pdma_bdf requester, uint64_t phys, size_t length,
              enum p2pdma_op op, bool is_fixed, uint64_t *address)
{
	struct iommu *iommu = fabric->iommu_tables;
	uint64_t align = length < LARGE_PAGE || phys % LARGE_PAGE ? PAGE : LARGE_PAGE;
	uint64_t iova = is_fixed ? *address : 0;
	struct mapping *mappings;
	struct domain *domain;
	size_t at;
	int r = 0;

	domain = find_domain(iommu, requester);
	if (!domain)
		domain = add_domain(iommu, requester);
	if (!domain)
		return -ENOMEM;
	if (is_fixed)
		r = check_fixed(fabric, domain, iova, length);
	else
		r = find_room(fabric, domain, domain->next, length, align, &iova);
	if (r == -ENOSPC)
		r = find_room(fabric, domain, IOVA_BASE, length, align, &iova);
	if (r)
		return r;
	if (!fabric_grow(&domain->mappings, domain->count, sizeof(*mappings)))
		return -ENOMEM;
	mappings = domain->mappings;
	at = mapping_at(domain, iova);
	memmove(mappings + at + 1, mappings + at, (domain->count++ - at) * sizeof(*mappings));
	mappings[at] = (struct mapping){ iova, length, phys, op };
	if (!is_fixed)
		domain->next = iova + length;
	*address = iova;
	return 0;
}

int iommu_unmap(struct fabric *fabric, struct p2pdma_bdf requester, uint64_t iova, size_t length,
                uint64_t *ret_phys)
{
	struct domain *domain;
	size_t at;

	domain = find_domain(fabric->iommu_tables, requester);
	at = domain ? mapping_at(domain, iova) : 0;
	if (!domain || at == domain->count || domain->mappings[at].iova != iova ||
	    domain->mappings[at].length != length)
		return -EINVAL;
	*ret_phys = domain->mappings[at].phys;
	memmove(domain->mappings + at, domain->mappings + at + 1,
	        (--domain->count - at) * sizeof(*domain->mappings));
	return 0;
}

void iommu_unmap_all(struct fabric *fabric, struct p2pdma_bdf requester)
{
	struct domain *domain = find_domain(fabric->iommu_tables, requester);

	if (domain)
		domain->count = 0;
}

/* The mapping that @iova lies in, or NULL. */
static const struct mapping *find_mapping(struct domain *domain, uint64_t iova)
{
	if (domain->last >= domain->count || iova < domain->mappings[domain->last].iova ||
	    iova > limit_of(&domain->mappings[domain->last]))
		domain->last = mapping_at(domain, iova);
	if (domain->last == domain->count || iova < domain->mappings[domain->last].iova)
		return NULL;
	return &domain->mappings[domain->last];
}

/* The last byte of the page that @iova lies in. */
static uint64_t page_limit(const struct mapping *mapping, uint64_t iova)
{
	uint64_t large = iova & ~(LARGE_PAGE - 1), limit = iova | (PAGE - 1);

	if (!((mapping->iova ^ mapping->phys) & (LARGE_PAGE - 1)) && large >= mapping->iova &&
	    limit_of(mapping) - large >= LARGE_PAGE - 1)
		limit = large + LARGE_PAGE - 1;
	return limit < limit_of(mapping) ? limit : limit_of(mapping);
}

int iommu_translate(struct fabric *fabric, struct p2pdma_bdf requester, uint64_t iova,
                    enum tlp type, uint64_t *ret_phys, uint64_t *ret_length)
{
	enum p2pdma_op op = type == TLP_READ ? P2PDMA_OP_READ : P2PDMA_OP_WRITE;
	const struct mapping *mapping;
	struct domain *domain;

	domain = find_domain(fabric->iommu_tables, requester);
	mapping = domain ? find_mapping(domain, iova) : NULL;
	for (size_t i = 0; !RULE(SIM_IOMMU_DOMAIN) && !mapping && i < fabric->iommu_tables->count;
	     i++)
		mapping = find_mapping(&fabric->iommu_tables->domains[i], iova);
	if (!mapping || (!(mapping->op & op) && RULE(SIM_IOMMU_OP)))
		return -EFAULT;
	*ret_phys = mapping->phys + (iova - mapping->iova);
	*ret_length = page_limit(mapping, iova) - iova + 1;
	return 0;
}
