/* SPDX-License-Identifier: MIT */
/*
 * sim/model.h - what a device of a simulated machine does: the interface its models implement.
 *
 * A model is what lies behind a function's BARs: it answers loads and stores, and masters the bus.
 * The fabric does the rest: configuration space, BAR decode, MSI-X, routing, tags, payload sizes,
 * timeouts, resets and removal.  examples/model.c is a whole one, with its driver.
 *
 * Concepts:
 * - Callbacks run one at a time, on the thread that drives the machine, with the machine locked: they
 *   call nothing of the library but p2pdma_model_*().
 * - Time is virtual.  A callback takes none; what should take time is done by p2pdma_model_timer().
 * - Addresses are what the device's driver gave it: bus addresses or IOVAs.
 * - Usable, not promised: it may change with a minor version.
 */
#ifndef P2PDMA_SIM_MODEL_H
#define P2PDMA_SIM_MODEL_H

#include <p2pdma/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct p2pdma_function; /* the simulated function a model stands behind */

/**
 * enum p2pdma_dma_status - how a read of the device ended
 * @P2PDMA_DMA_OK: the bytes are there
 * @P2PDMA_DMA_UR: Unsupported Request: nobody took it, or it was refused
 * @P2PDMA_DMA_CA: Completer Abort
 * @P2PDMA_DMA_TIMEOUT: no completion came in time
 * @P2PDMA_DMA_POISONED: the bytes came marked as bad
 * @P2PDMA_DMA_OFF: bus mastering is off, the power state is not D0, the link is down, or a reset
 *	came in between: it was never sent, or its completion will be dropped
 */
enum p2pdma_dma_status {
	P2PDMA_DMA_OK,
	P2PDMA_DMA_UR,
	P2PDMA_DMA_CA,
	P2PDMA_DMA_TIMEOUT,
	P2PDMA_DMA_POISONED,
	P2PDMA_DMA_OFF,
};

/**
 * enum p2pdma_model_reset - why a function starts anew
 * @P2PDMA_RESET_FLR: Function Level Reset (PCIe Base 6.6.2)
 * @P2PDMA_RESET_HOT: secondary bus reset, or its link went down (6.6.1)
 * @P2PDMA_RESET_POWER: D3hot to D0 without No_Soft_Reset (5.3.1.4)
 * @P2PDMA_RESET_REMOVED: it was pulled; no callback but this and destroy comes until it is back
 * @P2PDMA_RESET_ADDED: it was plugged in (again)
 */
enum p2pdma_model_reset {
	P2PDMA_RESET_FLR,
	P2PDMA_RESET_HOT,
	P2PDMA_RESET_POWER,
	P2PDMA_RESET_REMOVED,
	P2PDMA_RESET_ADDED,
};

/**
 * struct p2pdma_model - a kind of device
 * @size: sizeof(struct p2pdma_model); the struct grows at its end
 * @name: what a fabric file calls it ("model": "dma")
 * @create: makes one for @function: reads its parameters, adds BARs and vectors, sets its IDs.
 *	Returns 0 and @ret_state, or a negative errno and @err.
 * @destroy: frees the state; NULL: nothing to free
 * @read: answers a load or DMA read from a BAR that is no memory (p2pdma_model_add_registers()):
 *	fills @bytes and returns 0, or a negative errno to answer with Completer Abort; NULL: zeros
 * @write: takes a store or DMA write to such a BAR; NULL: nothing happens
 * @read_done: a read begun by p2pdma_model_read() has ended
 * @timer: a timer set by p2pdma_model_timer() has run out
 * @reset: back to power-on state.  Reads begun before it end without @read_done, timers are gone.
 * @config_written: configuration space was written, and has taken it as its bits allow
 *
 * Unset callbacks are NULL.
 */
struct p2pdma_model {
	size_t size;
	const char *name;
	int (*create)(struct p2pdma_function *function, struct p2pdma_error *err, void **ret_state);
	void (*destroy)(void *state);
	int (*read)(void *state, int bar, uint64_t offset, size_t length, void *bytes);
	void (*write)(void *state, int bar, uint64_t offset, size_t length, const void *bytes);
	void (*read_done)(void *state, uint64_t cookie, enum p2pdma_dma_status status);
	void (*timer)(void *state, uint64_t cookie);
	void (*reset)(void *state, enum p2pdma_model_reset why);
	void (*config_written)(void *state, size_t offset, size_t length);
};

/* From create only. */

/**
 * p2pdma_model_param() - a number among the parameters of the fabric file
 * @function: the function
 * @name: the key; keys that no call asks for are an error of the file
 * @fallback: when the file does not say
 *
 * Sizes may be written "64M".
 *
 * Return: the number.
 */
uint64_t p2pdma_model_param(struct p2pdma_function *function, const char *name, uint64_t fallback);

/**
 * p2pdma_model_param_text() - a string among the parameters
 * @function: the function
 * @name: the key
 *
 * Return: the text, the fabric's; NULL when the file does not say.
 */
const char *p2pdma_model_param_text(struct p2pdma_function *function, const char *name);

/**
 * p2pdma_model_set_id() - what the function is, unless it comes from a capture
 * @function: the function
 * @vendor: vendor ID
 * @device: device ID
 * @class_code: base class, subclass, programming interface
 */
void p2pdma_model_set_id(struct p2pdma_function *function, uint16_t vendor, uint16_t device,
                         uint32_t class_code);

/**
 * p2pdma_model_add_memory() - a BAR that is memory
 * @function: the function
 * @bar: 0 to 5; it takes two, being 64 bits wide and prefetchable
 * @size: bytes, a power of two of at least 4096; 0: what the capture says
 * @memory: @size bytes, the model's; NULL: zeroed memory of the fabric's that takes room only where
 *	touched, and that p2pmem_mmap() can show
 *
 * Return: 0; -EINVAL: no power of two, or the BAR is taken, or the capture has none there.
 */
int p2pdma_model_add_memory(struct p2pdma_function *function, int bar, uint64_t size, void *memory);

/**
 * p2pdma_model_add_registers() - a BAR whose accesses the model answers
 * @function: the function
 * @bar: 0 to 5; it takes two, being 64 bits wide; not prefetchable
 * @size: as p2pdma_model_add_memory()
 *
 * Return: 0; -EINVAL: as p2pdma_model_add_memory().
 */
int p2pdma_model_add_registers(struct p2pdma_function *function, int bar, uint64_t size);

/**
 * p2pdma_model_add_vectors() - MSI-X
 * @function: the function
 * @count: vectors, 1 to 2048
 * @bar: a BAR of its own for table and pending bits; in a capture they stay where they are, with as
 *	many vectors as it has
 *
 * Return: 0; -EINVAL: as p2pdma_model_add_memory(); -ENOMEM.
 */
int p2pdma_model_add_vectors(struct p2pdma_function *function, unsigned int count, int bar);

/* At any time. */

/**
 * p2pdma_model_read() - DMA read: memory read requests, completions back
 * @function: the function
 * @address: where
 * @length: bytes, more than 0
 * @buffer: where they go; until @read_done or @reset it must stay
 * @cookie: given back to @read_done
 *
 * Ends by @read_done once, never inside this call.
 */
void p2pdma_model_read(struct p2pdma_function *function, uint64_t address, size_t length,
                       void *buffer, uint64_t cookie);

/**
 * p2pdma_model_write() - DMA write: posted memory write requests
 * @function: the function
 * @address: where
 * @length: bytes, more than 0
 * @bytes: what; taken before the call returns
 *
 * Nothing tells when, or whether, it arrives; a read to the same target pushes it ahead.
 */
void p2pdma_model_write(struct p2pdma_function *function, uint64_t address, size_t length,
                        const void *bytes);

/**
 * p2pdma_model_backlog() - how far its writes are behind
 * @function: the function
 *
 * Writes are taken as fast as they are made and leave as fast as the link lets them: a model that makes
 * them out of nothing has to look here, or they pile up.  Where a slower link or a full switch lies
 * ahead, 256 KiB may be under way.
 *
 * Return: nanoseconds until its link has sent all, or until it is worth to look again; 0: go on.
 */
uint64_t p2pdma_model_backlog(const struct p2pdma_function *function);

/**
 * p2pdma_model_interrupt() - raise an MSI-X vector
 * @function: the function
 * @vector: 0 to count - 1; masked ones stay pending
 */
void p2pdma_model_interrupt(struct p2pdma_function *function, unsigned int vector);

/**
 * p2pdma_model_timer() - call @timer later
 * @function: the function
 * @delay: nanoseconds from now
 * @cookie: given back to @timer
 */
void p2pdma_model_timer(struct p2pdma_function *function, uint64_t delay, uint64_t cookie);

/**
 * p2pdma_model_now() - virtual time
 * @function: the function
 *
 * Return: nanoseconds since the machine was opened.
 */
uint64_t p2pdma_model_now(const struct p2pdma_function *function);

/**
 * p2pdma_model_config() - the function's configuration space
 * @function: the function
 *
 * Return: its 4096 bytes, little endian, the fabric's; read only.
 */
const uint8_t *p2pdma_model_config(const struct p2pdma_function *function);

#ifdef __cplusplus
}
#endif

#endif
