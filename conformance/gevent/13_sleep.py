"""sleep orders by time, sleep(0) takes turns, and idle runs when nobody else is ready."""
import gevent


def sleeper(name, wait_s):
    gevent.sleep(wait_s)
    print(name)


gevent.joinall([gevent.spawn(sleeper, f'{ms} ms', ms / 1000) for ms in (60, 20, 40, 0)])


def turns(name, count):
    for number in range(count):
        print(name, number)
        gevent.sleep(0)


gevent.joinall([gevent.spawn(turns, 'a', 3), gevent.spawn(turns, 'b', 2), gevent.spawn(turns, 'c', 3)])


def idles():
    print('idle waits')
    gevent.idle()
    print('idle goes on')


gevent.joinall([gevent.spawn(idles), gevent.spawn(turns, 'x', 3), gevent.spawn(turns, 'y', 3)])
