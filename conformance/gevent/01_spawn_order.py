"""spawn runs nothing now: the spawned run first in first out, once the spawner waits."""
import gevent


def child(name):
    print(name, 'runs')
    if name == 'a':
        gevent.spawn(child, 'a of a')
        print('a goes on')
    gevent.sleep(0)
    print(name, 'ends')


print('spawning')
tasks = [gevent.spawn(child, name) for name in 'abc']
print('spawned, nothing ran')
gevent.joinall(tasks)
print('joined')
gevent.sleep(0.02)
