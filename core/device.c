/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "info.h"
#include "topology.h"
#include <p2pdma/device.h>

#define CLASS_PROG       0x09
#define BAR_BASE         0x10
#define SUBSYSTEM_VENDOR 0x2c
#define SUBSYSTEM_DEVICE 0x2e
#define BAR_IO           0x1
#define BAR_TYPE_MASK    0x6
#define BAR_TYPE_64      0x4
#define BAR_PREFETCH     0x8
#define SRIOV_VF_BAR     0x24
#define EXP_LINK_CAP     0x0c
#define EXP_LINK_STATUS  0x12

int p2pdma_device_get_info(const struct p2pdma_device *device, struct p2pdma_device_info *ret_info)
{
	const struct snapshot_function *function = device->function;
	struct p2pdma_device_info info = {
		.size = sizeof(info),
		.index = device->index,
		.bdf = function->bdf,
		.vendor = device->vendor,
		.device = device->device,
		.header_type = device->is_dead ? 0x7f : device->header_type,
		.kind = device->kind,
		.is_vf = device->is_vf,
		.config_len = function->config_len,
		.iommu_group = function->iommu_group,
		.iommu = function->iommu,
		.numa_node = function->numa_node,
		.driver = function->driver,
	};
	uint32_t class_and_revision;

	if (!pcicap_read32(device->config, CLASS_PROG - 1, &class_and_revision))
		info.class_code = class_and_revision >> 8;
	if (device->header_type == 0) {
		pcicap_read16(device->config, SUBSYSTEM_VENDOR, &info.subsystem_vendor);
		pcicap_read16(device->config, SUBSYSTEM_DEVICE, &info.subsystem_device);
	}
	return copy_info(ret_info, &info, sizeof(info));
}

struct p2pdma_device *p2pdma_device_parent(const struct p2pdma_device *device)
{
	return topology_at(device->machine, device->parent);
}

struct p2pdma_device *p2pdma_device_physfn(const struct p2pdma_device *device)
{
	return topology_at(device->machine, device->physfn);
}

struct p2pdma_bdf p2pdma_device_root_bus(const struct p2pdma_device *device)
{
	return device->machine->roots[device->root].bus;
}

const char *p2pdma_device_name(const struct p2pdma_device *device, size_t index)
{
	return index < device->function->name_count ? device->function->names[index] : NULL;
}

int p2pdma_device_config_read(const struct p2pdma_device *device, size_t offset, size_t length,
                              void *ret_bytes)
{
	const struct snapshot_function *function = device->function;
	struct backend *backend = device->machine->backend;
	int r;

	if (offset > SNAPSHOT_CONFIG_SIZE || length > SNAPSHOT_CONFIG_SIZE - offset)
		return -EINVAL;
	r = backend->ops.config_read(backend->private, function->bdf, offset, length, ret_bytes);
	if (r != -EOPNOTSUPP)
		return r;
	if (offset + length > function->config_len)
		return -ENODATA;
	if (length)
		memcpy(ret_bytes, function->config + offset, length);
	return 0;
}

/* The registers of a VF's BARs are in its PF's SR-IOV capability (PCIe Base 9.3.3.14). */
static int bar_registers(const struct p2pdma_device *device, struct pcicap_config *ret_config,
                         size_t *ret_offset)
{
	const struct p2pdma_device *pf = topology_at(device->machine, device->physfn);
	int sriov;

	*ret_config = device->config;
	*ret_offset = BAR_BASE;
	if (!device->is_vf)
		return 0;
	sriov = pf ? pcicap_find_ext(pf->config, PCICAP_EXT_SRIOV) : -ENODATA;
	if (sriov < 0)
		return -ENODATA;
	*ret_config = pf->config;
	*ret_offset = (size_t)sriov + SRIOV_VF_BAR;
	return 0;
}

static void add_resource(const struct snapshot_function *function, int bar,
                         struct p2pdma_bar *range)
{
	const struct snapshot_resource *resource;

	if ((size_t)bar >= function->resource_count)
		return;
	resource = &function->resources[bar];
	if (resource->end <= resource->start)
		return;
	range->phys.addr = resource->start;
	range->size = resource->end - resource->start + 1;
}

static bool is_64bit(uint32_t bar_register)
{
	return !(bar_register & BAR_IO) && (bar_register & BAR_TYPE_MASK) == BAR_TYPE_64;
}

int p2pdma_device_bar(const struct p2pdma_device *device, int bar, struct p2pdma_bar *ret_bar)
{
	int count = device->header_type == 0 ? 6 : device->header_type == 1 ? 2 : 0;
	struct p2pdma_bar range = { .size = 0 };
	struct pcicap_config config;
	uint32_t low = 0, high = 0;
	size_t offset;
	int r, at;

	if (bar < 0 || bar >= count)
		return -EINVAL;
	r = bar_registers(device, &config, &offset);
	if (r)
		return r;
	/* Walk from the first, since the upper half of a 64-bit BAR looks like any other register.
	 */
	for (at = 0; at < bar; at += is_64bit(low) ? 2 : 1)
		if (pcicap_read32(config, offset + 4 * (size_t)at, &low))
			return -ENODATA;
	if (at != bar)
		return -ENOENT;
	if (pcicap_read32(config, offset + 4 * (size_t)bar, &low))
		return -ENODATA;
	range.is_64bit = is_64bit(low) && bar + 1 < count;
	if (range.is_64bit && pcicap_read32(config, offset + 4 * (size_t)bar + 4, &high))
		return -ENODATA;
	range.is_memory = !(low & BAR_IO);
	range.is_prefetchable = range.is_memory && low & BAR_PREFETCH;
	range.bus.addr = range.is_memory ? low & ~0xfu : low & ~0x3u;
	if (range.is_64bit)
		range.bus.addr |= (uint64_t)high << 32;
	add_resource(device->function, bar, &range);
	if (!low && !range.size)
		return -ENOENT;
	if (device->is_vf && range.bus.addr)
		range.bus.addr += device->vf_number * range.size;
	*ret_bar = range;
	return 0;
}

struct p2pdma_acs p2pdma_device_acs(const struct p2pdma_device *device)
{
	return device->acs;
}

/* PCIe Base 7.5.3.6 and 7.5.3.8; a VF's registers are its PF's (9.3.5.5). */
int p2pdma_device_link(const struct p2pdma_device *device, struct p2pdma_link *ret_link)
{
	const struct p2pdma_device *owner =
		device->physfn == NO_INDEX ? device : topology_at(device->machine, device->physfn);
	int offset = pcicap_find(owner->config, PCICAP_ID_EXP);
	uint32_t capabilities;
	uint16_t status;

	if (offset == -ENOENT || owner->kind == P2PDMA_KIND_RC_ENDPOINT)
		return -ENOENT;
	if (offset < 0 ||
	    pcicap_read32(owner->config, (size_t)offset + EXP_LINK_CAP, &capabilities) ||
	    pcicap_read16(owner->config, (size_t)offset + EXP_LINK_STATUS, &status))
		return -ENODATA;
	*ret_link = (struct p2pdma_link){
		.max_speed = capabilities & 0xf,
		.max_width = capabilities >> 4 & 0x3f,
		.speed = status & 0xf,
		.width = status >> 4 & 0x3f,
	};
	return 0;
}

int p2pdma_device_bus_range(const struct p2pdma_device *device, uint8_t *ret_secondary,
                            uint8_t *ret_subordinate)
{
	if (device->header_type != 1 && device->header_type != 2)
		return -ENOENT;
	*ret_secondary = device->secondary;
	*ret_subordinate = device->subordinate;
	return 0;
}
