"""Work in a thread holds up only who waits for it; its result and its exception come back."""
import threading
import time

import gevent
from gevent.threadpool import ThreadPool

pool = ThreadPool(2)
main_thread = threading.get_ident()


def blocks(name, wait_s):
    time.sleep(wait_s)
    where = 'in the main thread' if threading.get_ident() == main_thread else 'in another thread'
    return f'{name} {where}'


def fails():
    raise ValueError('broken in a thread')


def ticks():
    for number in range(3):
        print('tick', number)
        gevent.sleep(0.02)


ticker = gevent.spawn(ticks)
print('apply', pool.apply(blocks, ('first', 0.1)))
ticker.join()
results = [pool.spawn(blocks, name, wait_s) for name, wait_s in (('a', 0.1), ('b', 0.05))]
print('ready:', any(result.ready() for result in results))
for result in gevent.iwait(results):
    print('done', result.get())
try:
    pool.apply(fails)
except ValueError as error:
    print('raised', error)
print('map', pool.map(lambda number: number * 2, [1, 2, 3]))
hub_pool = gevent.get_hub().threadpool
print('the hub has one, too:', hub_pool.apply(blocks, ('hub', 0)))
pool.kill()
