/* SPDX-License-Identifier: MIT */
/*
 * progress.h - the machine's time, and what happens in it.
 *
 * A simulated machine has a virtual clock: it moves, and anything happens at all, only inside of
 * p2pdma_machine_progress() and of calls that wait for a device (p2pdma_bar_read()).  On a live
 * machine time goes by anyway and progress waits.  One loop serves both:
 *
 *	while (!done(queue))
 *		if (p2pdma_machine_progress(machine, deadline) == 0)
 *			return -ETIMEDOUT;
 */
#ifndef P2PDMA_PROGRESS_H
#define P2PDMA_PROGRESS_H

#include <p2pdma/machine.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * p2pdma_machine_now() - the machine's time
 * @machine: an open machine
 *
 * Context: Any thread.
 * Return: nanoseconds since some fixed moment; 0 for a machine without a clock.
 */
uint64_t p2pdma_machine_now(const struct p2pdma_machine *machine);

/**
 * p2pdma_machine_progress() - let the machine go on
 * @machine: an open machine
 * @until: machine time to stop at
 *
 * Returns earlier when something the caller can see has changed: memory it mapped, an interrupt,
 * a device come or gone.  Every loop that waits for a device calls this.  UINT64_MAX: until nothing
 * is left to happen; a virtual clock then stands at what happened last.
 *
 * Context: Any thread; may block until @until, and longer where a provider was pulled or reset: its
 * importers are told first (dmabuf.h).
 * Return:
 * * 1           - something has changed
 * * 0           - @until has come, or nothing more does
 * * -EOPNOTSUPP - this machine is a picture only
 */
int p2pdma_machine_progress(struct p2pdma_machine *machine, uint64_t until);

/**
 * enum p2pdma_event_kind - what happened to a function
 * @P2PDMA_EVENT_REMOVED: it is gone
 * @P2PDMA_EVENT_ADDED: it is there (again)
 * @P2PDMA_EVENT_LINK_DOWN: the link below this port is down
 * @P2PDMA_EVENT_LINK_UP: it is up again
 */
enum p2pdma_event_kind {
	P2PDMA_EVENT_REMOVED,
	P2PDMA_EVENT_ADDED,
	P2PDMA_EVENT_LINK_DOWN,
	P2PDMA_EVENT_LINK_UP,
};

/**
 * struct p2pdma_event - something that happened without our doing
 * @kind: what
 * @bdf: to whom
 * @time: when, in machine time
 */
struct p2pdma_event {
	enum p2pdma_event_kind kind;
	struct p2pdma_bdf bdf;
	uint64_t time;
};

/**
 * p2pdma_machine_event() - the oldest event not yet told
 * @machine: an open machine
 * @ret_event: the event
 *
 * 65,536 are kept; what comes while as many wait is lost.
 *
 * Context: Any thread; may block as p2pdma_machine_progress(), where a provider was pulled or reset.
 * Return:
 * * 0           - told
 * * -EAGAIN     - none is left
 * * -EOPNOTSUPP - this machine does not tell
 */
int p2pdma_machine_event(struct p2pdma_machine *machine, struct p2pdma_event *ret_event);

/**
 * p2pdma_machine_refresh() - open the same machine again, as it is now
 * @machine: an open machine
 * @err: filled in on failure; may be NULL
 * @ret_machine: a second picture of it; close both, in any order
 *
 * @machine and what was got from it stay as they are.  Devices open in one are open in the other:
 * they are the same.
 *
 * Context: Any thread; may block.
 * Return:
 * * 0           - opened
 * * -ENODEV     - no PCI function is left
 * * -ENOMEM     - out of memory
 * * -EOPNOTSUPP - this machine is a picture only
 */
int p2pdma_machine_refresh(const struct p2pdma_machine *machine, struct p2pdma_error *err,
                           struct p2pdma_machine **ret_machine);

#ifdef __cplusplus
}
#endif

#endif
