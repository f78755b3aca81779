"""A Channel keeps nothing: put waits for a getter, who goes on first."""
import gevent
from gevent.queue import Channel, Empty, Full

channel = Channel()


def producer(name):
    for number in (1, 2):
        print(name, 'puts', number)
        channel.put(name + str(number))
        print(name, 'has put', number)


def consumer(count):
    for _ in range(count):
        print('got', channel.get())


print('the producer first')
gevent.joinall([gevent.spawn(producer, 'a'), gevent.spawn(consumer, 2)])
print('the consumer first')
gevent.joinall([gevent.spawn(consumer, 2), gevent.spawn(producer, 'a')])
print('two producers')
gevent.joinall([gevent.spawn(producer, 'a'), gevent.spawn(producer, 'b'), gevent.spawn(consumer, 4)])
try:
    channel.put('x', timeout=0.02)
except Full:
    print('nobody gets')
try:
    channel.get(timeout=0.02)
except Empty:
    print('nobody puts')
