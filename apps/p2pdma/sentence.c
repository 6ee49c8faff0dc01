/* SPDX-License-Identifier: MIT */
/*
 * sentence.c - reasons and hazards in words.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"

static void put_qemu(FILE *out, enum p2pdma_reason_code code)
{
	fputs(code == P2PDMA_REASON_QEMU
	              ? "QEMU's own device models reach each other, whatever the ports say"
	              : "QEMU's virtual IOMMU translates: a raw bus address faults, only an IOVA arrives",
	      out);
}

static void put_not_a_port(FILE *out, const struct p2pdma_device *device, const char *at)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };

	if (device)
		p2pdma_device_get_info(device, &info);
	if (device && info.kind == P2PDMA_KIND_UNKNOWN)
		fprintf(out, "what kind of port %s is was not captured", at);
	else
		fprintf(out, "%s is no port that routes by a known rule", at);
}

/* How the turn at a port reads. */
static void put_turn(FILE *out, const struct p2pdma_reason *reason, bool leads_up)
{
	char text[BDF_TEXT];
	const char *at = reason->device ? short_bdf_text(reason->device, text) : "?";

	switch (reason->code) {
	case P2PDMA_REASON_SAME_FUNCTION:
		fputs("inside the function", out);
		break;
	case P2PDMA_REASON_NO_REDIRECT:
		fprintf(out, "routed by the switch, not redirected at %s", at);
		break;
	case P2PDMA_REASON_CONVENTIONAL_BUS:
		fprintf(out, "on the conventional bus below %s", at);
		break;
	case P2PDMA_REASON_INTERNAL:
		fprintf(out, "inside the device, as the ACS capability of %s declares", at);
		break;
	case P2PDMA_REASON_REQ_REDIR:
		fprintf(out, "redirected at %s (ReqRedir+)", at);
		break;
	case P2PDMA_REASON_CMPLT_REDIR:
		fprintf(out, "completion redirected at %s (CmpltRedir+)", at);
		break;
	case P2PDMA_REASON_EGRESS:
		fprintf(out, "%s at %s (EgressCtrl+, vector bit %u set)",
		        leads_up ? "redirected" : "blocked", at, reason->arg);
		break;
	case P2PDMA_REASON_TRANS_BLK:
		fprintf(out, "translated requests blocked at %s (TransBlk+, ATS on)", at);
		break;
	case P2PDMA_REASON_ACS_UNKNOWN:
		fprintf(out, "ACS of %s was not captured", at);
		break;
	case P2PDMA_REASON_EGRESS_UNKNOWN:
		fprintf(out, "EgressCtrl+ at %s, and its vector does not tell about this peer", at);
		break;
	case P2PDMA_REASON_SHARED_LINK_NO_ACS:
		fprintf(out, "functions of one device, and %s has no ACS capability that tells",
		        at);
		break;
	case P2PDMA_REASON_SHARED_LINK_TURN:
		fprintf(out, "%s declares no routing to its sibling functions: turns round above",
		        at);
		break;
	case P2PDMA_REASON_NO_COMMON_NODE:
		fputs("no common upstream node", out);
		break;
	case P2PDMA_REASON_BRIDGE_TARGET:
		fprintf(out, "a bridge on the path is itself the target or the source; not judged");
		break;
	case P2PDMA_REASON_NOT_A_PORT:
		put_not_a_port(out, reason->device, at);
		break;
	case P2PDMA_REASON_COMMON_NODE:
		fprintf(out, "below %s, and no ACS redirect on the way", at);
		break;
	case P2PDMA_REASON_KERNEL_REDIRECT:
		fprintf(out, "ACS redirect at %s:%s%s%s", at,
		        reason->arg & P2PDMA_ACS_REQ_REDIR ? " ReqRedir+" : "",
		        reason->arg & P2PDMA_ACS_CMPLT_REDIR ? " CmpltRedir+" : "",
		        reason->arg & P2PDMA_ACS_EGRESS_CTRL ? " EgressCtrl+" : "");
		break;
	case P2PDMA_REASON_QEMU:
	case P2PDMA_REASON_QEMU_TRANSLATED:
		put_qemu(out, reason->code);
		break;
	case P2PDMA_REASON_VIRTUAL:
		fputs("in a virtual machine the topology is no evidence", out);
		break;
	case P2PDMA_REASON_PROFILE:
		fputs("the rules of kernels before 6.0 are not known", out);
		break;
	default:
		fputs(reason_text(reason->code), out);
	}
}

static void put_root_complex(FILE *out, const struct p2pdma_reason *reason, bool is_through)
{
	fprintf(out, "%s root complex", is_through ? "; through" : " to");
	if (reason->arg)
		fprintf(out, " %04x:%04x", reason->arg >> 16, reason->arg & 0xffff);
}

static void put_no_upstream_fwd(FILE *out, const struct p2pdma_device *device, const char *at)
{
	enum p2pdma_known known = device ? p2pdma_device_acs(device).known : P2PDMA_UNKNOWN;

	if (known == P2PDMA_UNKNOWN)
		fprintf(out, ", and whether %s sends it on up was not captured", at);
	else
		fprintf(out, ", and %s need not send it on up (%s)", at,
		        known == P2PDMA_YES ? "UpstreamFwd-" : "no ACS capability");
}

/* What follows the turn. */
static void put_consequence(FILE *out, const struct p2pdma_reason *reason, bool is_through)
{
	char text[BDF_TEXT];
	const char *at = reason->device ? short_bdf_text(reason->device, text) : "?";

	switch (reason->code) {
	case P2PDMA_REASON_NO_UPSTREAM_FWD:
		put_no_upstream_fwd(out, reason->device, at);
		break;
	case P2PDMA_REASON_ROOT_TRUSTED:
		put_root_complex(out, reason, is_through);
		fputs(", on Linux's allowlist", out);
		break;
	case P2PDMA_REASON_ROOT_CPU:
		put_root_complex(out, reason, is_through);
		fputs(" of an AMD Zen or later, trusted", out);
		break;
	case P2PDMA_REASON_ROOT_UNKNOWN:
		put_root_complex(out, reason, is_through);
		fputs(", not known to forward", out);
		break;
	case P2PDMA_REASON_ROOT_REFUSES_READS:
		put_root_complex(out, reason, is_through);
		fputs(", known to refuse peer reads", out);
		break;
	case P2PDMA_REASON_ROOT_MISSING:
		fprintf(out, "%s what is above %s, which was not captured",
		        is_through ? "; through" : " to", at);
		break;
	case P2PDMA_REASON_CPU_UNKNOWN:
		put_root_complex(out, reason, is_through);
		fputs(", and the CPU was not recorded (--cpu tells)", out);
		break;
	case P2PDMA_REASON_VIRTUAL:
		fputs("; in a virtual machine the topology is no evidence", out);
		break;
	case P2PDMA_REASON_NODE_UNSEEN:
		fprintf(out, "; the capabilities of %s were not captured", at);
		break;
	case P2PDMA_REASON_COMMAND_UNSEEN:
		fprintf(out, "; the Command register of %s was not captured", at);
		break;
	case P2PDMA_REASON_ADDRESS_CLAIMED_TWICE:
		fprintf(out, "; %s claims the provider's addresses, too", at);
		break;
	case P2PDMA_REASON_BAR_UNSEEN:
		fprintf(out, "; the BARs of %s were not captured", at);
		break;
	case P2PDMA_REASON_NO_REDIRECT: /* the completion's turn, like the request's */
		fprintf(out, " or %s", at);
		break;
	default: /* the completion's turn, after the request's */
		fputs("; ", out);
		put_turn(out, reason, true);
	}
}

bool is_same_reason(const struct p2pdma_reason *a, const struct p2pdma_reason *b)
{
	return a->code == b->code && a->device == b->device && a->arg == b->arg;
}

char *why_sentence(const struct p2pdma_why *why)
{
	bool is_through = why->count && why->reasons[0].code == P2PDMA_REASON_NO_COMMON_NODE;
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return NULL;
	if (why->count)
		put_turn(out, &why->reasons[0], why->count > 1);
	for (size_t i = 1; i < why->count; i++) {
		if (is_same_reason(&why->reasons[i], &why->reasons[i - 1]))
			continue;
		put_consequence(out, &why->reasons[i], is_through);
	}
	fclose(out);
	return text;
}

char *hazard_sentence(const struct p2pdma_hazard *hazard)
{
	char bdf[BDF_TEXT];
	const char *at = short_bdf_text(hazard->device, bdf);
	unsigned long long value = hazard->value, limit = hazard->limit;
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return NULL;
	switch (hazard->code) {
	case P2PDMA_HAZARD_NO_BAR:
		fprintf(out, "%s has no memory BAR", at);
		break;
	case P2PDMA_HAZARD_BAR_UNASSIGNED:
		fprintf(out, "the BAR of %s has no address", at);
		break;
	case P2PDMA_HAZARD_BAR_OUTSIDE_WINDOW:
		fprintf(out, "the provider's BAR lies outside the memory windows of %s", at);
		break;
	case P2PDMA_HAZARD_MEMORY_DECODE_OFF:
		fprintf(out, "%s does not decode memory (Mem-)", at);
		break;
	case P2PDMA_HAZARD_BRIDGE_MEMORY_OFF:
		fprintf(out, "bridge %s passes no memory requests down (Mem-)", at);
		break;
	case P2PDMA_HAZARD_BUS_MASTER_OFF:
		fprintf(out, "%s may not master the bus (BusMaster-)", at);
		break;
	case P2PDMA_HAZARD_NOT_D0:
		fprintf(out, "%s is not in D0", at);
		break;
	case P2PDMA_HAZARD_NO_ANSWER:
		fprintf(out, "%s does not answer: its configuration space reads all ones", at);
		break;
	case P2PDMA_HAZARD_MPS:
		fprintf(out, "%s: MaxPayload of the sender is %llu bytes, %s takes %llu",
		        hazard->ops == P2PDMA_OP_WRITE ? "writes" : "completions", value, at,
		        limit);
		break;
	case P2PDMA_HAZARD_ADDRESS_WIDTH:
		fprintf(out, "the BAR needs %llu address bits, the driver of %s has %llu", value,
		        at, limit);
		break;
	case P2PDMA_HAZARD_LINK_SPEED:
		fprintf(out, "link of %s trained at %s GT/s of %s", at, speed_text((uint8_t)value),
		        speed_text((uint8_t)limit));
		break;
	case P2PDMA_HAZARD_LINK_WIDTH:
		fprintf(out, "link of %s trained at x%llu of x%llu", at, value, limit);
		break;
	case P2PDMA_HAZARD_SMALL_MPS:
		fprintf(out, "MaxPayload of %s is %llu bytes, the whole path can do %llu", at,
		        value, limit);
		break;
	case P2PDMA_HAZARD_TAGS:
		fprintf(out, "extended tags of %s are off (ExtTag-): 32 reads in flight", at);
		break;
	case P2PDMA_HAZARD_IOMMU:
		fprintf(out, "IOMMU of %s: %s", at, iommu_text((enum p2pdma_iommu)value));
		break;
	case P2PDMA_HAZARD_IOVA_ALIAS:
		fprintf(out, "an IOVA inside the windows of %s goes to a peer, not to memory", at);
		break;
	}
	fclose(out);
	return text;
}
