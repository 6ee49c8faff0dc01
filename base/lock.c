/* SPDX-License-Identifier: MIT */
#include <sched.h>

#include "lock.h"

#define PATIENCE 64 /* looks before the processor is given away */

void spin_wait(struct spin *spin)
{
	do {
		for (int i = 0; atomic_load_explicit(&spin->is_taken, memory_order_relaxed); i++)
			if (i >= PATIENCE)
				sched_yield();
	} while (atomic_exchange_explicit(&spin->is_taken, true, memory_order_acquire));
}

int mutex_init(struct mutex *mutex)
{
	return -pthread_mutex_init(&mutex->mutex, NULL);
}

void mutex_done(struct mutex *mutex)
{
	pthread_mutex_destroy(&mutex->mutex);
}

void mutex_lock(struct mutex *mutex)
{
	pthread_mutex_lock(&mutex->mutex);
}

void mutex_unlock(struct mutex *mutex)
{
	pthread_mutex_unlock(&mutex->mutex);
}

int condition_init(struct condition *condition)
{
	return -pthread_cond_init(&condition->condition, NULL);
}

void condition_done(struct condition *condition)
{
	pthread_cond_destroy(&condition->condition);
}

void condition_wait(struct condition *condition, struct mutex *mutex)
{
	pthread_cond_wait(&condition->condition, &mutex->mutex);
}

void condition_tell(struct condition *condition)
{
	pthread_cond_broadcast(&condition->condition);
}

struct thread thread_self(void)
{
	return (struct thread){ pthread_self() };
}

bool thread_is_self(struct thread thread)
{
	return pthread_equal(thread.thread, pthread_self());
}
