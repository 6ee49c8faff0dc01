/* SPDX-License-Identifier: MIT */
#include "one_thread.h"

int locks;

int mutex_init(struct mutex *mutex)
{
	(void)mutex;
	return 0;
}

void mutex_done(struct mutex *mutex)
{
	(void)mutex;
}

void mutex_lock(struct mutex *mutex)
{
	(void)mutex;
	if (locks++)
		lock_failed("a lock is taken twice");
}

void mutex_unlock(struct mutex *mutex)
{
	(void)mutex;
	if (!locks--)
		lock_failed("a lock is given back that was not taken");
}

int condition_init(struct condition *condition)
{
	(void)condition;
	return 0;
}

void condition_done(struct condition *condition)
{
	(void)condition;
}

void condition_wait(struct condition *condition, struct mutex *mutex)
{
	(void)condition, (void)mutex;
	lock_failed("waits for another thread, and there is none");
}

void condition_tell(struct condition *condition)
{
	(void)condition;
}

struct thread thread_self(void)
{
	return (struct thread){ 0 };
}

bool thread_is_self(struct thread thread)
{
	(void)thread;
	return true;
}
