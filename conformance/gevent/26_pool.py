"""A Pool's spawn waits while it is full; add can give up; kill ends all and leaves it empty."""
import gevent
from gevent.pool import Pool, PoolFull


def job(name, wait_s):
    print(name, 'begins')
    try:
        gevent.sleep(wait_s)
        print(name, 'ends')
    except gevent.GreenletExit:
        killed.append(name)


killed = []
pool = Pool(2)
for name, wait_s in (('a', 0.02), ('b', 0.08), ('c', 0.02), ('d', 0.08)):
    pool.spawn(job, name, wait_s)
    print('spawned', name, 'free', pool.free_count(), 'full', pool.full())
pool.join()
print('joined, free', pool.free_count())

pool.spawn(job, 'e', 1)
pool.spawn(job, 'f', 1)
extra = gevent.Greenlet(job, 'never printed', 0)
for limit in ({'blocking': False}, {'timeout': 0.02}):
    try:
        pool.add(extra, **limit)
    except PoolFull:
        print('the pool is full')
print('wait timed out, free', pool.wait_available(timeout=0.02))
pool.kill()
# They are killed in no order.
print('killed', *sorted(killed), 'free', pool.free_count(), 'running', len(pool))
pool.spawn(job, 'g', 0.02)
pool.join()
