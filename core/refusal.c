/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "refusal.h"
#include <p2pdma/evidence.h>

/* Those a verdict can be refused for; bits as lspci spells them. */
static const char *const reasons[] = {
	[P2PDMA_REASON_REQ_REDIR] = "ReqRedir+",
	[P2PDMA_REASON_CMPLT_REDIR] = "CmpltRedir+",
	[P2PDMA_REASON_EGRESS] = "EgressCtrl+ with the peer's vector bit",
	[P2PDMA_REASON_TRANS_BLK] = "TransBlk+ for translated requests",
	[P2PDMA_REASON_ACS_UNKNOWN] = "ACS not known",
	[P2PDMA_REASON_EGRESS_UNKNOWN] = "egress vector not known",
	[P2PDMA_REASON_SHARED_LINK_NO_ACS] = "no ACS capability that declares internal routing",
	[P2PDMA_REASON_SHARED_LINK_TURN] = "turned round at the shared port",
	[P2PDMA_REASON_NO_UPSTREAM_FWD] = "UpstreamFwd-",
	[P2PDMA_REASON_NO_COMMON_NODE] = "no switch in common",
	[P2PDMA_REASON_ROOT_UNKNOWN] = "a root complex not known to forward",
	[P2PDMA_REASON_ROOT_REFUSES_READS] = "a root complex known to refuse peer reads",
	[P2PDMA_REASON_ROOT_MISSING] = "the top of the tree not known",
	[P2PDMA_REASON_BRIDGE_TARGET] = "a bridge as one of the two",
	[P2PDMA_REASON_NOT_A_PORT] = "no port that routes by a known rule",
	[P2PDMA_REASON_VIRTUAL] = "a hypervisor's topology",
	[P2PDMA_REASON_QEMU_TRANSLATED] = "QEMU's virtual IOMMU",
	[P2PDMA_REASON_BAR_UNSEEN] = "BARs not known",
	[P2PDMA_REASON_NODE_UNSEEN] = "capabilities not known",
	[P2PDMA_REASON_COMMAND_UNSEEN] = "Command not known",
	[P2PDMA_REASON_ADDRESS_CLAIMED_TWICE] = "the same addresses claimed",
};

static const char *const hazards[] = {
	[P2PDMA_HAZARD_NO_BAR] = "no memory BAR",
	[P2PDMA_HAZARD_BAR_UNASSIGNED] = "a BAR without an address",
	[P2PDMA_HAZARD_BAR_OUTSIDE_WINDOW] = "a window that does not hold the BAR",
	[P2PDMA_HAZARD_MEMORY_DECODE_OFF] = "memory decode off",
	[P2PDMA_HAZARD_BRIDGE_MEMORY_OFF] = "Memory Space Enable off",
	[P2PDMA_HAZARD_BUS_MASTER_OFF] = "Bus Master Enable off",
	[P2PDMA_HAZARD_NOT_D0] = "not in D0",
	[P2PDMA_HAZARD_NO_ANSWER] = "no answer",
	[P2PDMA_HAZARD_MPS] = "Max Payload Size too small",
	[P2PDMA_HAZARD_ADDRESS_WIDTH] = "too few address bits",
};

static const char *word_of(const char *const *words, size_t count, unsigned int code)
{
	return code < count ? words[code] : NULL;
}

/* What finds no room is left out. */
static void add(char text[REFUSAL_TEXT], const char *word, const struct p2pdma_device *device)
{
	size_t length = strlen(text);
	char one[REFUSAL_TEXT];
	struct p2pdma_bdf bdf = device ? device->function->bdf : (struct p2pdma_bdf){ 0 };
	int size;

	size = device ? snprintf(one, sizeof(one), "%s%s at " BDF_FORMAT, length ? ", " : "", word,
	                         BDF_ARGS(bdf))
	              : snprintf(one, sizeof(one), "%s%s", length ? ", " : "", word);
	if (size > 0 && (size_t)size < REFUSAL_TEXT - length)
		memcpy(text + length, one, (size_t)size + 1);
}

void refusal_text(const struct p2pdma_routes *routes, const struct p2pdma_device *provider,
                  const struct p2pdma_device *client, enum p2pdma_op op, char text[REFUSAL_TEXT])
{
	struct p2pdma_explanation *explanation;
	const struct p2pdma_why *why;
	const char *word;

	text[0] = 0;
	if (p2pdma_routes_explain(routes, provider, client, &explanation))
		return;
	for (size_t i = 0; i < explanation->hazard_count; i++) {
		const struct p2pdma_hazard *hazard = &explanation->hazards[i];

		word = word_of(hazards, sizeof(hazards) / sizeof(hazards[0]), hazard->code);
		if (hazard->severity == P2PDMA_STOPS && hazard->ops & op && word)
			add(text, word, hazard->device);
	}
	why = op == P2PDMA_OP_WRITE || (op == P2PDMA_OP_BOTH &&
	                                explanation->route.write >= explanation->route.read)
	              ? &explanation->write
	              : &explanation->read;
	/* A stop is reason enough. */
	for (size_t i = text[0] ? why->count : 0; i < why->count; i++) {
		word = word_of(reasons, sizeof(reasons) / sizeof(reasons[0]), why->reasons[i].code);
		if (word)
			add(text, word, why->reasons[i].device);
	}
	p2pdma_explanation_free(explanation);
}
