#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
/* CLOCK_START: where the clock begins; CLOCK_BACK: after that many seconds it jumps back a day. */
static int (*real)(clockid_t, struct timespec *);
static void shift(time_t *now) {
  static time_t began;
  const char *start = getenv("CLOCK_START"), *back = getenv("CLOCK_BACK");
  if (!began) began = *now;
  time_t passed = *now - began;
  if (back && passed >= atol(back)) *now -= 86400;
  if (start) *now += atol(start) - began;
}
int clock_gettime(clockid_t id, struct timespec *at) {
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int status = real(id, at);
  if (id == CLOCK_REALTIME) shift(&at->tv_sec);
  return status;
}
int gettimeofday(struct timeval *at, void *zone) {
  struct timespec now;
  int status = clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec; at->tv_usec = now.tv_nsec / 1000;
  return status;
}
time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}
