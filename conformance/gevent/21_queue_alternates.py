"""With room for one, put and get take turns; who puts waits until there is room."""
import gevent
from gevent.queue import Queue

queue = Queue(maxsize=1)


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


gevent.joinall([gevent.spawn(producer), gevent.spawn(consumer)])
print('the consumer first')
gevent.joinall([gevent.spawn(consumer), gevent.spawn(producer)])


def getter(name):
    print(name, 'got', queue.get())


tasks = [gevent.spawn(getter, name) for name in 'abc']
gevent.sleep(0)
for number in range(3):
    queue.put(number)
    print('put', number)
gevent.joinall(tasks)
