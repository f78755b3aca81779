"""Queue(0) keeps nothing: put waits for a getter, who goes on first."""
import eventlet
from eventlet.queue import Empty, Full, Queue

queue = Queue(0)


def producer():
    for number in (1, 2):
        print('puts', number)
        queue.put(number)
        print('has put', number)


def consumer():
    for _ in range(2):
        print('got', queue.get())


def run(*functions):
    for thread in [eventlet.spawn(function) for function in functions]:
        thread.wait()


print('empty', queue.empty(), 'full', queue.full())
print('the producer first')
run(producer, consumer)
print('the consumer first')
run(consumer, producer)
for name, args in (('at once', (False,)), ('in 20 ms', (True, 0.02))):
    try:
        queue.put('x', *args)
    except Full:
        print('put', name, 'full')
    try:
        queue.get(*args)
    except Empty:
        print('get', name, 'empty')
waiting = eventlet.spawn(queue.get)
eventlet.sleep(0)
queue.put('taken at once', False)
print(waiting.wait())
