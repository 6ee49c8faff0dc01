/* SPDX-License-Identifier: MIT */
/*
 * lifecycle.c - resets, links that go down and up, devices pulled and plugged in.
 */
#include <string.h>

#include <linux/pci_regs.h>

#include "fabric.h"

static void tell(struct p2pdma_function *function, enum p2pdma_sim_event_kind kind)
{
	observe_event(function->fabric, kind, function->bdf, function->bdf, 0);
}

/* Reads end before the model forgets where they go. */
void function_reset(struct p2pdma_function *function, enum p2pdma_model_reset why)
{
	if (!function->is_present)
		return;
	function->epoch++;
	function->is_hung = false;
	requester_reset(function);
	wire_recall(function, true);
	config_reset(function, why);
	model_reset(function, why);
	tell(function, P2PDMA_SIM_EVENT_RESET);
}

/* ---- links ---- */

/* PCIe Base 7.5.3.7 */
static bool link_is_disabled(const struct p2pdma_function *port)
{
	return port->at.exp &&
	       get16(port->config + port->at.exp + PCI_EXP_LNKCTL) & PCI_EXP_LNKCTL_LD;
}

static bool is_occupied(const struct segment *segment)
{
	for (size_t i = 0; i < segment->member_count; i++)
		if (segment->members[i]->is_present)
			return true;
	return false;
}

/* In reset all functions of a link are, or none. */
static bool link_wants_up(const struct segment *segment)
{
	const struct p2pdma_function *port = segment->owner;

	if (segment->is_cut || !port->is_present || port->is_in_reset || link_is_disabled(port))
		return false;
	for (size_t i = 0; i < segment->member_count; i++)
		if (segment->members[i]->is_present && !segment->members[i]->is_in_reset)
			return true;
	return false;
}

/* What the port's registers say of the link (PCIe Base 7.5.3.8) and the slot (7.5.3.11). */
static void show_link(struct segment *segment)
{
	struct p2pdma_function *port = segment->owner;
	uint8_t *exp = port->config + port->at.exp;
	uint16_t link, slot, was;

	if (!port->at.exp)
		return;
	was = get16(exp + PCI_EXP_LNKSTA);
	link = was & ~PCI_EXP_LNKSTA_DLLLA;
	if (segment->is_up && get32(exp + PCI_EXP_LNKCAP) & PCI_EXP_LNKCAP_DLLLARC)
		link |= PCI_EXP_LNKSTA_DLLLA;
	put16(exp + PCI_EXP_LNKSTA, link);
	if (!(get16(exp + PCI_EXP_FLAGS) & PCI_EXP_FLAGS_SLOT))
		return;
	slot = get16(exp + PCI_EXP_SLTSTA);
	if (link != was)
		slot |= PCI_EXP_SLTSTA_DLLSC;
	if (is_occupied(segment) != !!(slot & PCI_EXP_SLTSTA_PDS))
		slot = (slot ^ PCI_EXP_SLTSTA_PDS) | PCI_EXP_SLTSTA_PDC;
	put16(exp + PCI_EXP_SLTSTA, slot);
}

static bool link_apply(struct segment *segment)
{
	bool is_up = link_wants_up(segment), was_up = segment->is_up;

	segment->is_up = is_up;
	show_link(segment);
	if (is_up && !was_up)
		wire_train(segment);
	else if (was_up && !is_up)
		wire_drop(segment);
	return is_up != was_up;
}

void link_boot(struct segment *segment)
{
	struct p2pdma_function *port = segment->owner;

	segment->is_up = segment->kind != SEGMENT_LINK || link_wants_up(segment);
	wire_train(segment);
	if (segment->kind != SEGMENT_LINK || port->is_captured || !port->at.exp)
		return;
	show_link(segment);
	port->config[port->at.exp + PCI_EXP_SLTSTA] &= (uint8_t)~PCI_EXP_SLTSTA_PDC;
	port->config[port->at.exp + PCI_EXP_SLTSTA + 1] &= (uint8_t) ~(PCI_EXP_SLTSTA_DLLSC >> 8);
}

/* PCIe Base 3.2.1: not when software did it, nor below a slot made for surprises. */
static void log_surprise(struct segment *segment)
{
	struct p2pdma_function *port = segment->owner;
	const uint8_t *exp = port->config + port->at.exp;

	if (port->at.exp && !link_is_disabled(port) &&
	    get32(exp + PCI_EXP_LNKCAP) & PCI_EXP_LNKCAP_SDERC &&
	    !(get16(exp + PCI_EXP_FLAGS) & PCI_EXP_FLAGS_SLOT &&
	      get32(exp + PCI_EXP_SLTCAP) & PCI_EXP_SLTCAP_HPS))
		config_log_error(port, AER_SURPRISE_DOWN, NULL);
}

void link_check(struct segment *segment)
{
	struct p2pdma_function *port = segment->owner;

	if (segment->kind != SEGMENT_LINK || !link_apply(segment))
		return;
	tell(port, segment->is_up ? P2PDMA_SIM_EVENT_LINK_UP : P2PDMA_SIM_EVENT_LINK_DOWN);
	mailbox_put(port->fabric, segment->is_up ? P2PDMA_EVENT_LINK_UP : P2PDMA_EVENT_LINK_DOWN,
	            port->bdf);
	if (segment->is_up)
		return;
	log_surprise(segment);
	/* PCIe Base 6.6.1: DL_Down is a hot reset for all below. */
	segment_reset(segment, true);
	segment_reset(segment, false);
}

void link_set(struct segment *segment, bool is_up)
{
	segment->is_cut = !is_up;
	link_check(segment);
}

void segment_reset(struct segment *segment, bool is_held)
{
	for (size_t i = 0; i < segment->member_count; i++) {
		struct p2pdma_function *member = segment->members[i];

		if (!member->is_present)
			continue;
		if (is_held)
			function_reset(member, P2PDMA_RESET_HOT);
		member->is_in_reset = is_held;
		if (member->below)
			segment_reset(member->below, is_held);
	}
	decode_stale(segment);
	if (segment->kind == SEGMENT_LINK)
		link_apply(segment);
	else if (is_held && segment->kind == SEGMENT_BUS)
		wire_drop(segment);
}

/* ---- pulling and plugging ---- */

/* By the bridge above (PCIe Base 7.5.1.3.13). */
static bool is_held(const struct p2pdma_function *bridge)
{
	return bridge && (bridge->is_in_reset ||
	                  bridge->config[PCI_BRIDGE_CONTROL] & PCI_BRIDGE_CTL_BUS_RESET);
}

void function_show(struct p2pdma_function *function, bool is_present)
{
	function->epoch++;
	function->is_present = is_present;
	function->is_in_reset = is_present && is_held(function->home->owner);
	function->is_hung = false;
	requester_reset(function);
	decode_stale(function->home);
	model_reset(function, is_present ? P2PDMA_RESET_ADDED : P2PDMA_RESET_REMOVED);
	tell(function, is_present ? P2PDMA_SIM_EVENT_ADDED : P2PDMA_SIM_EVENT_REMOVED);
}

static void move_all(struct segment *segment, bool is_plugged);

/* With what it has below.  Registers are as at boot again, as hot-plug firmware and OS do it. */
static void move(struct p2pdma_function *function, bool is_plugged)
{
	if (is_plugged && function->physfn && !function_vf_is_enabled(function))
		return;
	if (function->is_present != is_plugged) {
		if (is_plugged && function->boot_config)
			memcpy(function->config, function->boot_config, CONFIG_SIZE);
		function_show(function, is_plugged);
		mailbox_put(function->fabric,
		            is_plugged ? P2PDMA_EVENT_ADDED : P2PDMA_EVENT_REMOVED, function->bdf);
	}
	if (!function->below)
		return;
	move_all(function->below, is_plugged);
	if (function->below->kind == SEGMENT_LINK)
		link_apply(function->below);
}

static void move_all(struct segment *segment, bool is_plugged)
{
	for (size_t i = 0; i < segment->member_count; i++)
		move(segment->members[i], is_plugged);
}

/* All on the link below a port, or all functions of a device with its VFs. */
static void move_device(struct p2pdma_function *function, bool is_plugged)
{
	struct segment *segment = function->home;

	if (function->physfn)
		function = function->physfn;
	if (function->below && function->below->kind == SEGMENT_LINK)
		segment = function->below;
	if (segment->kind == SEGMENT_LINK) {
		move_all(segment, is_plugged);
		link_check(segment);
		return;
	}
	for (size_t i = 0; i < segment->member_count; i++) {
		struct p2pdma_function *member = segment->members[i];
		struct p2pdma_function *pf = member->physfn ? member->physfn : member;

		if (pf->bdf.devfn >> 3 == function->bdf.devfn >> 3)
			move(member, is_plugged);
	}
}

void function_remove(struct p2pdma_function *function)
{
	move_device(function, false);
}

void function_add(struct p2pdma_function *function)
{
	move_device(function, true);
}
