/* SPDX-License-Identifier: MIT */
/*
 * app.h - what the verbs of the command share.
 *
 * The command uses the library as an outsider would: <p2pdma/...> and nothing else of this tree.
 */
#ifndef APP_H
#define APP_H

#include <jansson.h>
#include <stdio.h>
#include <p2pdma/evidence.h>

enum exit_code {
	EXIT_YES = 0,
	EXIT_NO = 1,
	EXIT_UNKNOWN = 2,
	EXIT_USAGE = 3,
	EXIT_INPUT = 4,
};

#define MOST_FLOWS 1024
#define MOST_SETS  1024

struct app {
	/* What the command line asked for. */
	const char *verb;
	const char *machine_spec;
	const char *output;
	const char *bytes;
	const char *trace;
	size_t flow_count;
	const char *flows[MOST_FLOWS];
	size_t set_count;
	const char *sets[MOST_SETS];
	struct p2pdma_routes_opts routes_opts;
	enum p2pdma_op op;
	bool is_json;
	bool is_verbose;
	bool is_all;
	bool is_redacted;
	bool for_kernel;
	bool has_color;
	int argument_count;
	char **arguments;

	/* What was opened for it. */
	struct p2pdma_machine *machine;
	struct p2pdma_machine_info info;
	struct p2pdma_routes *routes; /* NULL for verbs that judge nothing */
	struct p2pdma_routes_info routes_info;
};

int verb_check(struct app *app);
int verb_dump(struct app *app);
int verb_find(struct app *app);
int verb_matrix(struct app *app);
int verb_sim_check(struct app *app);
int verb_sim_run(struct app *app);
int verb_tree(struct app *app);

/* main.c: a line on standard error after the program's name; returns @code. */
int complain(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* select.c: devices that arguments name. */
struct selection {
	size_t count;
	struct p2pdma_device **devices;
};

/* Appends what @argument names; 0, or an exit code after complaining. */
int select_argument(struct app *app, const char *argument, struct selection *selection);
/* Everything, in the order of addresses. */
int select_all(struct app *app, struct selection *selection);
void select_done(struct selection *selection);

/* text.c: the words for the library's enums, as text output and JSON print them. */
#define BDF_TEXT 24
const char *address_text(struct p2pdma_bdf bdf, char text[BDF_TEXT]);
const char *bdf_text(const struct p2pdma_device *device, char text[BDF_TEXT]); /* with domain */
const char *short_bdf_text(const struct p2pdma_device *device,
                           char text[BDF_TEXT]); /* without 0000: */
const char *answer_text(enum p2pdma_answer answer);
const char *verdict_text(enum p2pdma_verdict verdict);
const char *turn_text(enum p2pdma_turn turn);
const char *map_type_text(enum p2pdma_map_type map_type);
const char *iommu_text(enum p2pdma_iommu iommu);
const char *kind_text(enum p2pdma_kind kind);
const char *leg_text(enum p2pdma_leg leg);
const char *space_text(enum p2pdma_space space);
const char *reason_text(enum p2pdma_reason_code code);
const char *hazard_text(enum p2pdma_hazard_code code);
const char *speed_text(uint8_t speed);
/* "SrcValid+ TransBlk- ..." as lspci prints it; @bits of any ACS register. */
#define ACS_TEXT 96
const char *acs_bits_text(uint16_t bits, char text[ACS_TEXT]);
#define SIZE_TEXT 16
const char *size_text(uint64_t size, char text[SIZE_TEXT]);
/* Text that others wrote, safe for a terminal: what one would obey becomes "?".  In place. */
char *disarm(char *text);
/* Colours a word for a terminal, or returns it as it is; static storage, one use at a time. */
const char *color_answer(const struct app *app, enum p2pdma_answer answer, const char *word);

/* sentence.c: reasons and hazards in words. */
bool is_same_reason(const struct p2pdma_reason *a, const struct p2pdma_reason *b);
char *why_sentence(const struct p2pdma_why *why);
char *hazard_sentence(const struct p2pdma_hazard *hazard);

/* names.c: pci.ids.  Never NULL: falls back to the numbers.  Free the result. */
char *device_name(const struct p2pdma_device *device);
char *class_name(const struct p2pdma_device *device);
void names_done(void);

/* json.c: parts that several verbs print. */
json_t *json_bdf(const struct p2pdma_device *device);
json_t *json_pair(const struct app *app, const struct p2pdma_device *provider,
                  const struct p2pdma_device *client, const struct p2pdma_explanation *explanation);
json_t *json_heading(const struct app *app, const char *format);
int json_print(json_t *object); /* takes @object; exit code */

/* heading.c: what the answers rest on. */
void print_heading(const struct app *app);
/* Says it when the machine's kernel lacks CONFIG_PCI_P2PDMA. */
void print_kernel_note(const struct app *app);
/* "Linux 6.12 (recorded)" */
const char *profile_text(const struct app *app, char *text, size_t size);
/* One IOMMU mode if all functions agree. */
const char *machine_iommu(const struct app *app);
/* How to see more, when ACS was out of reach; NULL when it was not. */
const char *privilege_hint(const struct app *app);

#endif
