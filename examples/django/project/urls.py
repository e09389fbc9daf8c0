from django.urls import path
from djangoapp import view

urlpatterns = [
    path("", view.index),
]
