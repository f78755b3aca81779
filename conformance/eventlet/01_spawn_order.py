"""spawn runs nothing now: the spawned run first in first out, once the spawner waits."""
import eventlet


def child(name):
    print(name, 'runs')
    if name == 'a':
        eventlet.spawn(child, 'a of a')
        print('a goes on')
    eventlet.sleep(0)
    print(name, 'ends')
    return name.upper()


print('spawning')
threads = [eventlet.spawn(child, name) for name in 'abc']
print('spawned, nothing ran')
print('waited for', *[thread.wait() for thread in threads])
eventlet.sleep(0.02)
