/* SPDX-License-Identifier: MIT */
/*
 * lock.h - locks for what several threads share, so that core needs no operating system's.
 *
 * A spin is for what takes nanoseconds: one atomic exchange to take, a plain store to give back,
 * half of what a mutex costs.  Who waits gives its processor away.  A mutex is for the rest.
 *
 * base/ may be used by all code in the tree and may use nothing outside itself.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct spin {
	atomic_bool is_taken;
};

/* lock.c: the way when somebody else has it. */
void spin_wait(struct spin *spin);

static inline bool spin_try(struct spin *spin)
{
	return !atomic_exchange_explicit(&spin->is_taken, true, memory_order_acquire);
}

static inline void spin_lock(struct spin *spin)
{
	if (!spin_try(spin))
		spin_wait(spin);
}

static inline void spin_unlock(struct spin *spin)
{
	atomic_store_explicit(&spin->is_taken, false, memory_order_release);
}

struct mutex {
	pthread_mutex_t mutex;
};

/* -ENOMEM, or what pthread_mutex_init() says. */
int mutex_init(struct mutex *mutex);
void mutex_done(struct mutex *mutex);
void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);

/* For threads that wait for each other, never for a device: the machine does not go on meanwhile.
 */
struct condition {
	pthread_cond_t condition;
};

/* -ENOMEM, or what pthread_cond_init() says. */
int condition_init(struct condition *condition);
void condition_done(struct condition *condition);
/* Gives @mutex up meanwhile.  Look again afterwards: it may return for no reason. */
void condition_wait(struct condition *condition, struct mutex *mutex);
void condition_tell(struct condition *condition);

/* So that who waits for other threads does not wait for itself. */
struct thread {
	pthread_t thread;
};

struct thread thread_self(void);
bool thread_is_self(struct thread thread);

#endif
