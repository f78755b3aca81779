"""Who runs takes what is there: of several consumers one works off all, of several producers one fills the room."""
import gevent
from gevent.queue import Empty, Queue

jobs = Queue()


def consumer(name):
    while True:
        job = jobs.get()
        if job is None:
            break
        print(name, 'takes', job)
        if job == 'long':
            gevent.sleep(0.02)
    print(name, 'ends')


consumers = [gevent.spawn(consumer, name) for name in 'abc']
gevent.sleep(0)
for job in (1, 2, 'long', 3, 'long', 4, 'long', 5, None, None, None):
    jobs.put(job)
gevent.joinall(consumers)

taken = gevent.spawn(jobs.get)
gevent.sleep(0)
jobs.put('quick')
print('taken before it runs:', jobs.get_nowait())
jobs.put('its own')
print('it waited on:', taken.get())

small = Queue(2)


def producer(name):
    for number in range(3):
        small.put((name, number))
        print(name, 'put', number)


producers = [gevent.spawn(producer, name) for name in 'ab']
gevent.sleep(0)
for _ in range(6):
    print('got', *small.get())
    gevent.sleep(0)
gevent.joinall(producers)
small.put('first')
small.put('second')
waits = gevent.spawn(small.put, 'third')
gevent.sleep(0)
small.get()
small.put('fourth')
try:
    small.put('fifth', timeout=0.02)
except gevent.queue.Full:
    print('the room was taken before it ran:', not waits.dead)
print(small.get(), small.get(), small.get())
try:
    small.get_nowait()
except Empty:
    print('empty')
