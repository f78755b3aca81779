/* Threads, locks, and what is between them. */
#include "check.h"

static uv_mutex_t mutex;
static uv_cond_t condition;
static uv_sem_t semaphore;
static uv_barrier_t barrier;
static uv_rwlock_t rwlock;
static uv_once_t once = UV_ONCE_INIT;
static uv_key_t key;
static int count, serial, runs;

static void run_once(void) { runs++; }

static void work(void* arg) {
  uv_key_set(&key, arg);
  uv_once(&once, run_once);
  for (int i = 0; i < 1000; i++) {
    uv_mutex_lock(&mutex);
    count++;
    uv_mutex_unlock(&mutex);
  }
  if (uv_barrier_wait(&barrier) > 0) {
    serial++;
    uv_barrier_destroy(&barrier);
  }
  CHECK(uv_key_get(&key) == arg);
  uv_sem_post(&semaphore);
}

static void notify(void* arg) {
  uv_mutex_lock(&mutex);
  *(int*)arg = 1;
  uv_cond_signal(&condition);
  uv_mutex_unlock(&mutex);
}

static void try_locks(void* arg) {
  result("trylock of a locked one", uv_mutex_trylock(&mutex));
  result("tryrdlock of a read one", uv_rwlock_tryrdlock(&rwlock));
  uv_rwlock_rdunlock(&rwlock);
  result("trywrlock of a read one", uv_rwlock_trywrlock(&rwlock));
  (void)arg;
}

int main(void) {
  uv_thread_t threads[4], thread, self = uv_thread_self();
  uv_mutex_t again;
  int done = 0;
  CHECK(uv_mutex_init(&mutex) == 0 && uv_cond_init(&condition) == 0 && uv_sem_init(&semaphore, 0) == 0);
  CHECK(uv_barrier_init(&barrier, 4) == 0 && uv_key_create(&key) == 0 && uv_rwlock_init(&rwlock) == 0);
  result("no threads for a barrier", uv_barrier_init(&(uv_barrier_t){0}, 0));
  result("nothing for a semaphore", uv_sem_trywait(&semaphore));
  for (int i = 0; i < 4; i++) CHECK(uv_thread_create(&threads[i], work, &threads[i]) == 0);
  for (int i = 0; i < 4; i++) uv_sem_wait(&semaphore);
  for (int i = 0; i < 4; i++) CHECK(uv_thread_join(&threads[i]) == 0);
  printf("%d %d %d\n", count, serial, runs);
  CHECK(uv_key_get(&key) == NULL && uv_thread_equal(&self, &self) && !uv_thread_equal(&self, &threads[0]));
  uv_mutex_lock(&mutex);
  CHECK(uv_thread_create(&thread, notify, &done) == 0);
  while (!done) uv_cond_wait(&condition, &mutex);
  CHECK(uv_thread_join(&thread) == 0);
  uint64_t before = uv_hrtime();
  result("a condition that is not notified", uv_cond_timedwait(&condition, &mutex, 20 * 1000000));
  CHECK(uv_hrtime() - before >= 20 * 1000000);
  uv_rwlock_rdlock(&rwlock);
  CHECK(uv_thread_create_ex(&thread, &(uv_thread_options_t){UV_THREAD_HAS_STACK_SIZE, 1}, try_locks, NULL) == 0);
  CHECK(uv_thread_join(&thread) == 0);
  uv_rwlock_rdunlock(&rwlock);
  uv_mutex_unlock(&mutex);
  CHECK(uv_mutex_init_recursive(&again) == 0);
  uv_mutex_lock(&again);
  result("trylock of its own", uv_mutex_trylock(&again));
  uv_mutex_unlock(&again);
  uv_mutex_unlock(&again);
  uv_mutex_destroy(&again);
  uv_key_delete(&key);
  uv_rwlock_destroy(&rwlock);
  uv_sem_destroy(&semaphore);
  uv_cond_destroy(&condition);
  uv_mutex_destroy(&mutex);
  return 0;
}
