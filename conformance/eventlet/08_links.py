"""Links run in the dying greenthread, in order, before who waits for it; a late one runs at once."""
import eventlet


def link(thread, name, more='nothing more'):
    where = 'in the dying one' if eventlet.getcurrent() is thread else 'in another'
    print(name, thread.wait(), where, more)


def works():
    print('works')
    return 'done'


thread = eventlet.spawn(works)
thread.link(link, 'link 1')
thread.link(link, 'link 2', more='an argument')
thread.link(link, 'never printed')
print('unlinked:', thread.unlink(link, 'never printed'), thread.unlink(link, 'unknown'))
thread.wait()
print('waited')
thread.link(link, 'late link')
print('the late link ran at once')


def waits(thread):
    print('a link may wait')
    eventlet.sleep(0.02)
    print('it has waited')


thread = eventlet.spawn(works)
thread.link(waits)
thread.link(link, 'the link behind it')
print('result:', thread.wait(), 'dead:', thread.dead)
eventlet.sleep(0.04)
print('dead:', thread.dead)
