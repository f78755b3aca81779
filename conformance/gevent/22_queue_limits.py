"""Queue(0) has no limit; get and put give up after a time or at once; peek takes nothing."""
import gevent
from gevent.queue import Empty, Full, Queue


def attempt(name, what, *args, **kwargs):
    try:
        print(name + ':', what(*args, **kwargs) or 'done')
    except Empty:
        print(name + ': empty')
    except Full:
        print(name + ': full')


queue = Queue(0)
for number in range(100):
    queue.put(number)
print('no limit:', queue.qsize(), 'full', queue.full())
small = Queue(2)
attempt('get at once', small.get_nowait)
attempt('get in 20 ms', small.get, timeout=0.02)
attempt('put', small.put, 'a')
attempt('put', small.put, 'b')
attempt('put at once', small.put_nowait, 'c')
attempt('put in 20 ms', small.put, 'c', timeout=0.02)
attempt('peek', small.peek)
attempt('peek again', small.peek)
print('size', small.qsize(), 'full', small.full())
attempt('get', small.get)
attempt('get', small.get)
attempt('peek at once', small.peek_nowait)
gevent.spawn_later(0.02, small.put, 'late')
attempt('get waits', small.get)
for item in ('x', 'y', StopIteration):
    gevent.spawn_later(0.02, small.put, item)
print('iterated:', *small)
