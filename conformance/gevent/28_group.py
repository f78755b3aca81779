"""A Group holds its greenlets while they live; joining or killing it is for all of them."""
import gevent
from gevent.pool import Group


def job(name, wait_s):
    try:
        gevent.sleep(wait_s)
        print(name, 'ends')
    except gevent.GreenletExit:
        killed.append(name)


killed = []
group = Group()
first = group.spawn(job, 'a', 0.02)
group.spawn(job, 'b', 0.12)
outside = gevent.spawn(job, 'c', 0.08)
group.add(outside)
print('members', len(group), 'one of them', first in group)
first.join()
gevent.sleep(0)
print('members', len(group), 'one of them', first in group)
group.discard(outside)
print('discarded, members', len(group))
print('join timed out:', not group.join(timeout=0.02))
group.join()
print('joined, members', len(group))
tasks = [group.spawn(job, name, 1) for name in 'xyz']
gevent.sleep(0)
group.killone(tasks[1])
print('killed', *killed, 'members', len(group))
group.kill()
# They are killed in no order.
print('killed', *sorted(killed), 'members', len(group))
print('empty group:', group.join())
