/* SPDX-License-Identifier: MIT */
/*
 * rule.h - the rules of the verdict, each with a switch for tests.
 *
 * RULE(NAME) is true, and costs nothing, in every build but one: a test build configured with
 * -Dmutant=NAME turns that rule off, and the test that tests/rules.tsv names must then fail.
 */
#ifndef RULE_H
#define RULE_H

#ifdef P2PDMA_MUTANT
#include <string.h>
#define RULE(name) (strcmp(#name, P2PDMA_MUTANT) != 0)
#else
#define RULE(name) 1
#endif

#endif
