import autocron
from django.apps import AppConfig


class DjangoappConfig(AppConfig):
    default_auto_field = "django.db.models.BigAutoField"
    name = "djangoapp"

    def ready(self):
        autocron.start("the_django_app.db")
