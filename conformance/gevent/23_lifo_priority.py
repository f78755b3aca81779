"""A LifoQueue gives the newest first, a PriorityQueue the smallest; waiters are served in their order."""
import gevent
from gevent.queue import LifoQueue, PriorityQueue, Queue

for kind in (Queue, LifoQueue, PriorityQueue):
    queue = kind()
    for number in (3, 1, 2):
        queue.put(number)
    print([queue.get() for _ in range(3)])

queue = PriorityQueue(maxsize=2)


def put(number):
    queue.put(number)
    print('put', number)


tasks = [gevent.spawn(put, number) for number in (5, 4, 3, 2)]
gevent.sleep(0)
print('peek', queue.peek())
print('got', [queue.get() for _ in range(4)])
gevent.joinall(tasks)


def get(name):
    print(name, 'got', queue.get())


tasks = [gevent.spawn(get, name) for name in 'ab']
gevent.sleep(0)
queue.put(9)
queue.put(1)
gevent.joinall(tasks)
