"""rawlink calls in the hub, link in a greenlet of its own, each in order; late links are called, too."""
import gevent


def link(name):
    def called(task):
        in_hub = gevent.getcurrent() is gevent.get_hub()
        print(name, task.value, 'in the hub' if in_hub else 'in a greenlet')
    return called


def works():
    print('works')
    return 'done'


task = gevent.spawn(works)
task.link(link('link 1'))
task.rawlink(link('rawlink 1'))
task.link(link('link 2'))
task.rawlink(link('rawlink 2'))
gone = link('never printed')
task.link(gone)
task.unlink(gone)
task.join()
print('joined')
task.link(link('late link'))
task.rawlink(link('late rawlink'))
print('late ones are not called at once')
gevent.sleep(0)
print('a turn later')
gevent.sleep(0)


task = gevent.spawn(gevent.sleep, 0.02)
gevent.sleep(0)
task.rawlink(lambda task: print('linked before the join'))
gevent.spawn(task.rawlink, lambda task: print('linked after the join'))
task.join()
print('the join is a link among the others')
gevent.sleep(0)
