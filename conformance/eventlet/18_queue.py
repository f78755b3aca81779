"""Queue() has no limit; get waits, for ever, for a time or not at all."""
import eventlet
from eventlet.queue import Empty, Queue

queue = Queue()
for number in range(100):
    queue.put(number)
print('no limit: size', queue.qsize(), 'full', queue.full())
print('in order:', [queue.get() for _ in range(100)] == list(range(100)))
for name, args in (('at once', (False,)), ('in 20 ms', (True, 0.02))):
    try:
        queue.get(*args)
    except Empty:
        print(name, 'empty')


def consumer():
    while (item := queue.get()) is not None:
        print('got', item)
    print('consumer ends')


thread = eventlet.spawn(consumer)
eventlet.sleep(0)
print('getting', queue.getting())
for number in (1, 2, 3):
    queue.put(number)
    print('put', number)
print('size', queue.qsize())
eventlet.sleep(0)
eventlet.spawn_after(0.02, queue.put, 'late')
eventlet.spawn_after(0.04, queue.put, None)
thread.wait()
print('getting', queue.getting(), 'size', queue.qsize())
