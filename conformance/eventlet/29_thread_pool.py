"""Work in a thread holds up only who waits for it; its result and its exception come back."""
import threading
import time

import eventlet
from eventlet import tpool

tpool.set_num_threads(2)
main_thread = threading.get_ident()


def where():
    return 'in the main thread' if threading.get_ident() == main_thread else 'in another thread'


def blocks(name, wait_s):
    time.sleep(wait_s)
    return f'{name} {where()}'


def fails():
    raise ValueError('broken in a thread')


def ticks():
    for number in range(3):
        print('tick', number)
        eventlet.sleep(0.02)


eventlet.spawn(ticks)
print('executed', tpool.execute(blocks, 'first', 0.1))


def task(name, wait_s):
    print('done', tpool.execute(blocks, name, wait_s))


threads = [eventlet.spawn(task, name, wait_s) for name, wait_s in (('a', 0.1), ('b', 0.04), ('c', 0.1))]
for thread in threads:
    thread.wait()
try:
    tpool.execute(fails)
except ValueError as error:
    print('raised', error)


class Counter:
    count = 0

    def add(self, number):
        self.count += number
        return f'{self.count} {where()}'


proxy = tpool.Proxy(Counter())
print('proxy', proxy.add(2))
print('proxy', proxy.add(3), 'count', proxy.count)
