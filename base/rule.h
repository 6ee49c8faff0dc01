/* SPDX-License-Identifier: MIT */
/*
 * rule.h - the rules of the verdict and of the fabric, each with a switch for tests.
 *
 * RULE(NAME) is true, and costs nothing, in every build but one: a test build configured with
 * -Dmutants=true turns off the rule that the environment names, and the test that tests/rules.tsv
 * lists for it must then fail.
 */
#ifndef RULE_H
#define RULE_H

#ifdef P2PDMA_MUTANTS
#include <stdlib.h>
#include <string.h>
#define RULE(name) (!getenv("P2PDMA_MUTANT") || strcmp(#name, getenv("P2PDMA_MUTANT")) != 0)
#else
#define RULE(name) 1
#endif

#endif
