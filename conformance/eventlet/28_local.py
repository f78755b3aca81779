"""A local has other values in each greenthread, which are dropped with it."""
import eventlet
from eventlet.corolocal import local

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
    eventlet.sleep(wait_s)
    print(name, 'still has', data.name)


data.name = 'main'
eventlet.spawn(child, 'a', 0.02)
eventlet.spawn(child, 'b', 0.04)
eventlet.sleep(0.06)
print('main still has', data.name)
del data.name
print('deleted:', not hasattr(data, 'name'))


class Counter(local):
    def __init__(self, start):
        self.count = start


counter = Counter(10)
counter.count += 1
print('elsewhere', eventlet.spawn(lambda: counter.count).wait(), 'here', counter.count)
