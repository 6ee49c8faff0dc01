/* SPDX-License-Identifier: MIT */
/*
 * plan.c - what the keys of an element say of its function's registers.
 */
#include <stdlib.h>
#include <string.h>

#include "file.h"

/* ACS capabilities (PCIe Base 6.12.1): ports may have all, other functions what concerns peers. */
#define ACS_OF_PORT     0x7f
#define ACS_OF_FUNCTION 0x6c
#define ACS_EGRESS      0x20
/* What Linux turns on where an IOMMU translates: pci_std_enable_acs() */
#define ACS_OF_LINUX 0x1d

static int get_payload(const struct source *source, const json_t *object, const char *key,
                       uint16_t most, uint16_t *ret_bytes)
{
	uint64_t number = *ret_bytes;
	int r = get_number(source, object, key, 128, most, &number);

	if (!r && number & (number - 1))
		r = wrong_key(source, object, key, "\"%s\": expected a power of two from 128 to %u",
		              key, most);
	if (!r)
		*ret_bytes = (uint16_t)number;
	return r;
}

/* "gen4 x16" */
static int get_link(const struct source *source, const json_t *object, const char *key,
                    uint8_t *ret_speed, uint8_t *ret_width)
{
	static const char *const widths[] = { "x1", "x2", "x4", "x8", "x12", "x16", "x32" };
	static const uint8_t lanes[] = { 1, 2, 4, 8, 12, 16, 32 };
	const json_t *value = json_object_get(object, key);
	const char *text = json_string_value(value);

	if (!value)
		return 0;
	if (text && !strncmp(text, "gen", 3) && text[3] >= '1' && text[3] <= '6' && text[4] == ' ')
		for (size_t i = 0; i < sizeof(lanes); i++)
			if (!strcmp(text + 5, widths[i])) {
				*ret_speed = (uint8_t)(text[3] - '0');
				*ret_width = lanes[i];
				return 0;
			}
	return wrong_key(source, object, key, "\"%s\": expected a link such as \"gen4 x16\"", key);
}

/* A list of names of ACS bits, of those @possible, or "all". */
static int get_acs(const struct source *source, const json_t *object, const char *key,
                   uint16_t possible, uint16_t *ret_mask)
{
	/* As lspci calls them, from bit 0 on (PCIe Base 7.7.11.2). */
	static const char *const names[] = { "SrcValid",   "TransBlk",    "ReqRedir",
		                             "CmpltRedir", "UpstreamFwd", "EgressCtrl",
		                             "DirectTrans" };
	const json_t *value = json_object_get(object, key), *item;
	const char *text = json_string_value(value);
	bool is_all = text && !strcmp(text, "all");
	uint16_t mask = 0;
	size_t i;

	if (!value)
		return 0;
	if (!is_all && !json_is_array(value))
		return wrong_key(source, object, key,
		                 "\"%s\": expected a list of names, or \"all\"", key);
	json_array_foreach(value, i, item)
	{
		size_t bit = 0;

		text = json_string_value(item);
		while (bit < 7 && (!text || strcmp(text, names[bit]) != 0))
			bit++;
		if (!(possible >> bit & 1))
			return wrong_item(
				source, value, i,
				"\"%s\": expected one that this function has of SrcValid, "
				"TransBlk, ReqRedir, CmpltRedir, UpstreamFwd, EgressCtrl, "
				"DirectTrans",
				key);
		mask |= (uint16_t)(1u << bit);
	}
	*ret_mask = is_all ? possible : mask;
	return 0;
}

static int get_egress(const struct source *source, const json_t *object, struct config_plan *plan)
{
	const json_t *value = json_object_get(object, "egress"), *item;
	size_t i;

	if (value && (!json_is_array(value) || !plan->egress_vector_size))
		return wrong_key(source, object, "egress",
		                 "\"egress\": expected a list of numbers, beside EgressCtrl");
	json_array_foreach(value, i, item)
	{
		json_int_t bit = json_integer_value(item);

		if (!json_is_integer(item) || bit < 0 || bit >= plan->egress_vector_size)
			return wrong_item(source, value, i,
			                  "\"egress\": expected a whole number from 0 to %d",
			                  plan->egress_vector_size - 1);
		plan->egress_vector[bit / 32] |= 1u << bit % 32;
	}
	return 0;
}

static int read_acs(const struct source *source, const json_t *object,
                    const struct p2pdma_function *function, struct config_plan *plan)
{
	static const char *const keys[] = { "capability", "control", "egress", NULL };
	const json_t *value = json_object_get(object, "acs");
	bool is_none = json_is_string(value) && !strcmp(json_string_value(value), "none");
	bool is_port = function->kind == P2PDMA_KIND_ROOT_PORT ||
	               function->kind == P2PDMA_KIND_DOWNSTREAM_PORT;
	int r;

	if (value && !is_none && !json_is_object(value))
		return wrong_key(source, object, "acs", "\"acs\": expected \"none\" or an object");
	plan->has_acs = value ? !is_none : is_port;
	if (!plan->has_acs)
		return 0;
	plan->acs_capability = is_port ? ACS_OF_PORT : ACS_OF_FUNCTION;
	r = get_acs(source, value, "capability", plan->acs_capability, &plan->acs_capability);
	if (r)
		return r;
	if (function->iommu == P2PDMA_IOMMU_TRANSLATED)
		plan->acs_control = plan->acs_capability & ACS_OF_LINUX;
	/* Room for all port numbers, or all functions of a device. */
	if (plan->acs_capability & ACS_EGRESS)
		plan->egress_vector_size = 255;
	if ((r = get_acs(source, value, "control", plan->acs_capability, &plan->acs_control)) ||
	    (r = get_egress(source, value, plan)))
		return r;
	return only_keys(source, value, keys);
}

/* "010802" */
static int get_class(const struct source *source, const json_t *object, struct config_plan *plan)
{
	const char *text = NULL;
	int r = get_text(source, object, "class", &text);

	if (r || !text)
		return r;
	if (strlen(text) != 6 || strspn(text, "0123456789abcdefABCDEF") != 6)
		return wrong_key(source, object, "class",
		                 "\"class\": expected 6 hex digits such as \"010802\"");
	plan->class_code = (uint32_t)strtoul(text, NULL, 16);
	plan->has_class = true;
	return 0;
}

int plan_keys(const struct source *source, const json_t *object, struct p2pdma_function *function,
              struct config_plan *plan)
{
	uint64_t numa = (uint64_t)function->numa_node, port = plan->port_number, tags = 256;
	uint64_t vfs = 0;
	const char *name = NULL;
	int r;

	if ((r = get_text(source, object, "name", &name)) ||
	    (r = get_number(source, object, "numa_node", 0, 1023, &numa)) ||
	    (r = get_payload(source, object, "max_mps", 4096, &plan->max_payload)) ||
	    (r = get_payload(source, object, "mps", plan->max_payload, &plan->payload)) ||
	    (r = get_payload(source, object, "mrrs", 4096, &plan->read_request)) ||
	    (r = get_number(source, object, "tags", 32, 256, &tags)) ||
	    (r = get_number(source, object, "port_number", 0, 254, &port)) ||
	    (r = get_number(source, object, "vfs", 0, UINT16_MAX, &vfs)) ||
	    (r = get_class(source, object, plan)) ||
	    (r = get_bool(source, object, "ats", &plan->has_ats)) ||
	    (r = get_bool(source, object, "flr", &plan->has_flr)))
		return r;
	if (tags != 32 && tags != 256)
		return wrong_key(source, object, "tags", "\"tags\": expected 32 or 256");
	function->numa_node = (int)numa;
	plan->has_extended_tags = tags == 256;
	plan->port_number = (uint8_t)port;
	plan->vf_count = (unsigned int)vfs;
	if (name && !(function->name = strdup(name)))
		return source_out_of_memory(source);
	return read_acs(source, object, function, plan);
}

int plan_link(const struct source *source, const json_t *object, struct config_plan *plan)
{
	int r = get_link(source, object, "link", &plan->link_speed, &plan->link_width);

	if (!r)
		r = get_link(source, object, "trained", &plan->trained_speed, &plan->trained_width);
	if (!r && plan->link_speed &&
	    (plan->trained_speed > plan->link_speed || plan->trained_width > plan->link_width))
		r = wrong_key(source, object, "trained", "\"trained\": more than \"link\" allows");
	return r;
}
