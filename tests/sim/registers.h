/* SPDX-License-Identifier: MIT */
/*
 * registers.h - a machine without TLPs, for tests of registers, resets, links and removal: what the
 * engine would do with them is recorded instead.
 *
 *	root bus - root port -- PF with two VFs, a second function
 *	         `- root port -- upstream port -+- downstream port -- endpoint
 *	                                        `- downstream port    (empty)
 */
#ifndef TEST_SIM_REGISTERS_H
#define TEST_SIM_REGISTERS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/pci_regs.h>

#include "fabric.h"

#define BAR_SIZE  0x10000ull
#define BAR_BASE  0x123400000000ull
#define MOST_LOGS 64

enum { LEFT, PF, VF0, VF1, SECOND, RIGHT, UP, DOWN, FAR, EMPTY, FUNCTIONS };

struct registers {
	struct fabric fabric;
	struct root root;
	struct segment root_bus, link, up_link, inside, far_link, empty_link;
	struct p2pdma_function functions[FUNCTIONS];
	uint8_t config[FUNCTIONS][2][CONFIG_SIZE];
	unsigned int stale, flushed, trained, written;
	unsigned int model_resets[FUNCTIONS][P2PDMA_RESET_ADDED + 1];
	unsigned int requester_resets[FUNCTIONS];
	struct {
		int kind; /* enum p2pdma_sim_event_kind; of the mailbox + 100 */
		struct p2pdma_bdf at;
	} log[MOST_LOGS];
	unsigned int logged;
};

extern struct registers lab;

int set_up(void **state);
int tear_down(void **state);
struct config_plan plan_of(int who);
/* Events and mail about a function. */
unsigned int count_log(int kind, int who);
uint32_t read_at(int who, size_t offset, size_t length);
void write_at(int who, size_t offset, size_t length, uint32_t value);
/* Expects that of what is written, the bits of @mask are taken. */
void expect_rw(int who, size_t offset, uint32_t mask);

#define AT(who, cap) (lab.functions[who].at.cap)
#define TEST(name)   cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
