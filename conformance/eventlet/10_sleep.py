"""sleep orders by time; sleep(0) takes turns."""
import eventlet


def sleeper(name, wait_s):
    eventlet.sleep(wait_s)
    print(name)


threads = [eventlet.spawn(sleeper, f'{ms} ms', ms / 1000) for ms in (60, 20, 40, 0)]
for thread in threads:
    thread.wait()


def turns(name, count):
    for number in range(count):
        print(name, number)
        eventlet.sleep(0)
    print(name, 'ends')


threads = [eventlet.spawn(turns, name, count) for name, count in (('a', 3), ('b', 2), ('c', 3))]
turns('main', 2)
for thread in threads:
    thread.wait()
print('waited')
