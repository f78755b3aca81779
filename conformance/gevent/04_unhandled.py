"""An exception that nobody handles ends its greenlet only; links and joins hear of it."""
import gevent


def fails():
    print('fails')
    raise ValueError('broken')


def counts():
    for number in (1, 2, 3):
        print('counts', number)
        gevent.sleep(0.02)
    return 'counted'


others = gevent.spawn(counts)
bad = gevent.spawn(fails)
bad.link_exception(lambda task: print('link hears:', task.exception))
bad.link_value(lambda task: print('never printed'))
gevent.joinall([others, bad])
print('others:', others.value)
try:
    gevent.joinall([bad], raise_error=True)
except ValueError as error:
    print('joinall raised:', error)
