"""The pages of the admin site, over a database with tasks in every state."""

from __future__ import annotations

HOSTILE = "<script>alert('x')</script>\\x1b[31m"

TESTS = f"""
    import autocron
    from autocron import default_app
    from autocron.engine import Engine
    from autocron.shell.chance import new_id
    from autocron.shell.clock import SystemClock
    from autocron.shell.invoke import FunctionInvoker
    from autocron.zones import load_zone
    from django.contrib.admin.models import LogEntry
    from django.contrib.auth.models import Permission, User
    from django.test import Client, TestCase
    from shop.tasks import fail, welcome

    HOSTILE = "{HOSTILE}"
    LIST = "/admin/autocron/task/"

    def work():
        engine = Engine(
            default_app.service.backend.store, SystemClock(), zones=load_zone, new_id=new_id,
            invoker=FunctionInvoker(default_app.registry.get, lambda: default_app.codec),
            worker="w",
        )
        for _ in range(40):
            engine.tick()

    class Pages(TestCase):
        @classmethod
        def setUpTestData(cls):
            cls.root = User.objects.create_superuser("root", "r@example.org", "x")
            cls.looker = User.objects.create_user("looker", password="x", is_staff=True)
            cls.looker.user_permissions.add(
                Permission.objects.get(codename="view_task", content_type__app_label="autocron")
            )
            cls.nobody = User.objects.create_user("nobody", password="x", is_staff=True)

        def setUp(self):
            default_app.service.backend.store.write("clear", "DELETE FROM tasks", ())
            self.failed, self.done = fail(HOSTILE), welcome("ada")
            work()
            self.waiting = welcome.options(hours=1, queue="mail")(HOSTILE)
            welcome.options(hours=1).map(["x"] * 120)

        def page(self, user=None, path=LIST, **query):
            self.client.force_login(user or self.root)
            return self.client.get(path, query)

        def act(self, action, ids, user=None, path=LIST):
            self.client.force_login(user or self.root)
            return self.client.post(path, {{"action": action, "task": ids}}, follow=True)

        def test_the_list_shows_what_there_is(self):
            page = self.page()
            self.assertContains(page, "123 tasks")
            self.assertContains(page, "?p=3")
            self.assertEqual(len(page.context["page"].rows), 50)
            self.assertEqual(len(self.page(p="3").context["page"].rows), 23)
            self.assertContains(self.page(p="3"), "ValueError: ")
            for odd in ("99", "-1", "x"):
                self.assertEqual(self.page(p=odd).status_code, 200)

        def test_it_is_on_the_index_for_those_who_may_look(self):
            self.assertContains(self.page(path="/admin/"), LIST)
            self.assertContains(self.page(self.looker, "/admin/"), LIST)
            self.assertNotContains(self.page(self.nobody, "/admin/"), LIST)

        def test_texts_are_escaped(self):
            for page in (self.page(p="3"), self.page(path=f"{{LIST}}{{self.failed.id}}/change/")):
                self.assertNotContains(page, "<script>alert")
                self.assertContains(page, "&lt;script&gt;alert")
                self.assertContains(page, "\\\\x1b[31m")
            page = self.page(q="<script>'\\"")
            self.assertContains(page, "&lt;script&gt;&#x27;&quot;")
            self.assertContains(page, "No tasks match")

        def test_it_is_filtered_and_searched(self):
            def count(**query):
                return self.page(**query).context["page"].count
            self.assertEqual(count(state="failed"), 1)
            self.assertEqual(count(state="waiting"), 121)
            self.assertEqual(count(state="waiting", queue="mail"), 1)
            self.assertEqual(count(task="shop.tasks:fail"), 1)
            self.assertEqual(count(q="tasks:fa"), 1)
            self.assertEqual(count(q=self.done.id[:18]), 1)
            self.assertEqual(count(q="100%"), 0)
            self.assertEqual(count(state="unheard of", queue="of", task="this"), 123)

        def test_a_page_shows_all_of_a_task(self):
            page = self.page(path=f"{{LIST}}{{self.failed.id}}/change/")
            self.assertContains(page, "shop.tasks:fail")
            self.assertContains(page, "Traceback")
            self.assertContains(page, 'value="retry"')
            self.assertContains(page, 'value="discard"')
            self.assertNotContains(page, 'value="cancel"')
            page = self.page(path=f"{{LIST}}{{self.done.id}}/change/")
            self.assertContains(page, "Welcome, ada")
            self.assertEqual(self.page(path=f"{{LIST}}unheard-of/change/").status_code, 404)

        def test_a_failed_task_is_retried(self):
            self.assertContains(self.act("retry", [self.failed.id]), "1 task: will run again.")
            self.assertEqual(autocron.get_result(self.failed.id).status, "waiting")
            work()
            self.assertEqual(autocron.get_result(self.failed.id).status, "failed")

        def test_a_waiting_task_is_cancelled_and_discarded_on_its_page(self):
            path = f"{{LIST}}{{self.waiting.id}}/change/"
            self.assertContains(self.act("cancel", [], path=path), "cancelled, or asked to end")
            page = self.act("discard", [], path=path)
            self.assertContains(page, "1 task: discarded.")
            self.assertEqual(page.request["PATH_INFO"], LIST)
            with self.assertRaises(autocron.TaskNotFound):
                autocron.get_result(self.waiting.id)

        def test_what_is_done_stands_in_the_log_of_the_admin_site(self):
            self.act("retry", [self.failed.id, self.done.id])
            self.act("cancel", [self.waiting.id])
            self.act("discard", [self.waiting.id])
            logged = LogEntry.objects.order_by("pk")
            self.assertEqual(
                [(e.user, e.object_id, e.get_change_message(), e.is_deletion()) for e in logged],
                [
                    (self.root, self.failed.id, "Retry: will run again.", False),
                    (self.root, self.waiting.id, "Cancel: cancelled, or asked to end.", False),
                    (self.root, self.waiting.id, "Discard: discarded.", True),
                ],
            )
            index = self.page(path="/admin/")
            self.assertContains(index, f"shop.tasks:fail {{self.failed.id}}")
            self.assertEqual(self.client.get(logged[0].get_admin_url()).status_code, 200)

        def test_what_can_not_be_done_is_said(self):
            self.assertContains(self.act("retry", [self.done.id]), "has succeeded")
            self.assertContains(self.act("retry", []), "No tasks were marked")
            self.assertContains(self.act("delete", [self.done.id]), "No action was chosen")

        def test_who_may_only_look_changes_nothing(self):
            page = self.page(self.looker)
            self.assertNotContains(page, 'name="action"')
            self.assertEqual(self.act("retry", [self.failed.id], self.looker).status_code, 403)
            path = f"{{LIST}}{{self.failed.id}}/change/"
            self.assertNotContains(self.page(self.looker, path), 'name="action"')
            self.assertEqual(self.act("retry", [], self.looker, path).status_code, 403)
            for one in (LIST, path):
                self.assertEqual(self.page(self.nobody, one).status_code, 403)
            self.assertEqual(autocron.get_result(self.failed.id).status, "failed")

        def test_a_look_changes_nothing_and_a_forged_post_neither(self):
            self.page(path=LIST, action="retry", task=self.failed.id)
            forger = Client(enforce_csrf_checks=True)
            forger.force_login(self.root)
            answer = forger.post(LIST, {{"action": "retry", "task": [self.failed.id]}})
            self.assertEqual(answer.status_code, 403)
            self.assertEqual(autocron.get_result(self.failed.id).status, "failed")

        def test_another_admin_site_has_links_of_its_own(self):
            page = self.page(path="/office/autocron/task/", p="3")
            self.assertContains(page, f"/office/autocron/task/{{self.failed.id}}/change/")
            self.assertNotContains(page, '"/admin/')
            path = f"/office/autocron/task/{{self.failed.id}}/change/"
            page = self.act("discard", [], path=path)
            self.assertEqual(page.request["PATH_INFO"], "/office/autocron/task/")

        def test_nobody_gets_in_without_logging_in(self):
            self.assertEqual(Client().get(LIST).status_code, 302)
"""

TWO_SITES = """
    from autocron.contrib.django.admin import TaskAdmin
    from autocron.contrib.django.models import Task
    from django.contrib import admin
    from django.urls import path

    office = admin.AdminSite(name="office")
    office.register(Task, TaskAdmin)
    urlpatterns = [path("admin/", admin.site.urls), path("office/", office.urls)]
"""

NO_DATABASE = """
    from django.contrib.auth.models import User
    from django.test import TestCase

    class Pages(TestCase):
        def test_a_database_that_is_not_there_yet(self):
            self.client.force_login(User.objects.create_superuser("root", "", "x"))
            page = self.client.get("/admin/autocron/task/")
            self.assertContains(page, "there is no database")
            self.assertEqual(self.client.get("/admin/autocron/task/x/change/").status_code, 404)
"""


def test_the_pages(project):
    project.write({"shop/tests.py": TESTS, "urls.py": TWO_SITES})
    told = project.run("test", AUTOCRON_START="0")
    assert "Ran 13 tests" in told, told


def test_without_a_database(project):
    project.write({"shop/tests.py": NO_DATABASE})
    told = project.run("test")
    assert "Ran 1 test" in told, told


def test_its_files_are_found(project):
    assert "autocron/admin.css" in project.run("findstatic", "autocron/admin.css")
