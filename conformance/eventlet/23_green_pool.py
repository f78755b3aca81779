"""A GreenPool's spawn waits while it is full; waitall waits for all, and not from inside."""
import eventlet
from eventlet import debug
from eventlet.greenpool import GreenPool

debug.hub_exceptions(False)
pool = GreenPool(2)


def job(name, wait_s):
    print(name, 'begins')
    eventlet.sleep(wait_s)
    print(name, 'ends')
    return name


threads = []
for name, wait_s in (('a', 0.02), ('b', 0.08), ('c', 0.02), ('d', 0.08)):
    threads.append(pool.spawn(job, name, wait_s))
    print('spawned', name, 'free', pool.free(), 'running', pool.running())
outside = eventlet.spawn(pool.spawn, job, 'e', 0.02)
eventlet.sleep(0)
print('waiting to spawn', pool.waiting())
pool.waitall()
print('all ended, free', pool.free(), 'running', pool.running())
print('results', *[thread.wait() for thread in threads])
outside.wait()


def waits_inside():
    try:
        pool.waitall()
    except AssertionError:
        print('waitall from inside is refused')


def fails():
    raise ValueError('broken')


pool.spawn(waits_inside)
bad = pool.spawn(fails)
pool.spawn_n(job, 'f', 0.02)
pool.waitall()
try:
    bad.wait()
except ValueError as error:
    print('the failed one gave its place back:', pool.free(), error)
