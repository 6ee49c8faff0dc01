/* SPDX-License-Identifier: MIT */
/*
 * reset.c - the operating system's part of a reset: what Linux's pci_reset_function() does.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/pci_regs.h>

#include "sim_private.h"

#define PS_PER_MS (1000000 * PS_PER_NS)

static void wait_ms(struct fabric *fabric, uint64_t ms)
{
	uint64_t until = fabric->now + ms * PS_PER_MS;

	while (clock_step(fabric, until))
		;
}

/* PCIe Base 6.6.2: 100 ms later it is ready.  What it can is known from before it hung. */
static bool reset_function(struct p2pdma_function *function)
{
	const uint8_t *exp = function->config + function->at.exp;

	if (!function->at.exp || !(get32(exp + PCI_EXP_DEVCAP) & PCI_EXP_DEVCAP_FLR))
		return false;
	config_write(function, function->at.exp + PCI_EXP_DEVCTL, 2,
	             get16(exp + PCI_EXP_DEVCTL) | PCI_EXP_DEVCTL_BCR_FLR);
	wait_ms(function->fabric, 100);
	return true;
}

/* PCIe Base 7.5.1.3.13 and 6.6.1; not when somebody else is on the link or below. */
static int reset_link(struct p2pdma_function *function)
{
	struct segment *home = function->home;
	struct p2pdma_function *port = home->owner;
	uint32_t control;

	if (home->kind != SEGMENT_LINK || function->below)
		return -ENOTTY;
	for (size_t i = 0; i < home->member_count; i++)
		if (home->members[i] != function && home->members[i]->is_present)
			return -ENOTTY;
	control = get16(port->config + PCI_BRIDGE_CONTROL);
	config_write(port, PCI_BRIDGE_CONTROL, 2, control | PCI_BRIDGE_CTL_BUS_RESET);
	wait_ms(function->fabric, 1);
	config_write(port, PCI_BRIDGE_CONTROL, 2, control & ~(uint32_t)PCI_BRIDGE_CTL_BUS_RESET);
	wait_ms(function->fabric, 100);
	return 0;
}

/*
 * What the reset has changed, the last register first: so BARs come before the command register
 * that enables them, and the number of VFs before what enables them.
 */
static void restore(struct p2pdma_function *function, const uint8_t *saved)
{
	for (size_t at = CONFIG_SIZE; at; at -= 2)
		if (get16(saved + at - 2) != get16(function->config + at - 2))
			config_write(function, at - 2, 2, get16(saved + at - 2));
	for (unsigned int i = 0; i < function->vector_count; i++)
		if (function->irq_fds[i] >= 0)
			vectors_attach(function, i, function->irq_fds[i]);
}

int reset_and_restore(struct p2pdma_function *function)
{
	uint8_t *saved = malloc(CONFIG_SIZE);
	bool is_reset;
	int r;

	if (!saved)
		return -ENOMEM;
	memcpy(saved, function->config, CONFIG_SIZE);
	config_write(function, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	is_reset = reset_function(function);
	r = is_reset && config_reaches(function) ? 0 : reset_link(function);
	if (r == -ENOTTY ? is_reset : !r && !config_reaches(function))
		r = -ENODEV;
	restore(function, saved);
	free(saved);
	return r;
}
