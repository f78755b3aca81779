"""A local has other values in each greenlet, which are dropped at its end."""
import gevent
from gevent.local import local

data = local()


class Value:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        print('the value of', self.name, 'is dropped')


def child(name, wait_s):
    print(name, 'begins with', getattr(data, 'name', 'nothing'))
    data.name = name
    data.value = Value(name)
    gevent.sleep(wait_s)
    print(name, 'still has', data.name)


data.name = 'main'
gevent.spawn(child, 'a', 0.02)
gevent.spawn(child, 'b', 0.04)
gevent.sleep(0.06)
print('main still has', data.name)
del data.name
print('deleted:', not hasattr(data, 'name'))


class Counter(local):
    count = 0

    def __init__(self, start):
        self.count = start


counter = Counter(10)
counter.count += 1
print('elsewhere', gevent.spawn(lambda: counter.count).get(), 'here', counter.count)
