"""Queues give the oldest first, a LifoQueue the newest, a PriorityQueue the smallest."""
import eventlet
from eventlet.queue import LifoQueue, LightQueue, PriorityQueue, Queue

for name, kind in (('queue', Queue), ('light', LightQueue), ('lifo', LifoQueue), ('priority', PriorityQueue)):
    queue = kind()
    for number in (3, 1, 2):
        queue.put(number)
    print(name, [queue.get() for _ in range(3)], 'empty', queue.empty())

for name, kind in (('lifo', LifoQueue), ('priority', PriorityQueue)):
    queue = kind()
    getter = eventlet.spawn(lambda: [queue.get() for _ in range(3)])
    eventlet.sleep(0)
    for number in (2, 1, 3):
        queue.put(number)
    print(name, 'with somebody waiting', getter.wait())

light = LightQueue(1)
light.put('a')
putter = eventlet.spawn(light.put, 'b')
eventlet.sleep(0)
light.resize(2)
putter.wait()
print('resized, size', light.qsize(), 'full', light.full())
