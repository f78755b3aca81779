"""Queue(n) lets n wait in it; who puts more waits until there is room."""
import eventlet
from eventlet.queue import Full, Queue

queue = Queue(1)


def producer():
    for number in range(4):
        queue.put(number)
        print('put', number)
    queue.put(None)
    print('producer ends')


def consumer():
    while (number := queue.get()) is not None:
        print('got', number)
    print('consumer ends')


def run(*functions):
    for thread in [eventlet.spawn(function) for function in functions]:
        thread.wait()


print('the producer first')
run(producer, consumer)
print('the consumer first')
run(consumer, producer)
small = Queue(2)
small.put('a')
small.put('b')
for name, args in (('at once', (False,)), ('in 20 ms', (True, 0.02))):
    try:
        small.put('c', *args)
    except Full:
        print('put', name, 'full')
waiting = eventlet.spawn(small.put, 'c')
eventlet.sleep(0)
print('putting', small.putting(), 'size', small.qsize())
print('got', small.get(), 'size', small.qsize())
waiting.wait()
print('putting', small.putting(), 'size', small.qsize())
