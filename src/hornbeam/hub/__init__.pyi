from hornbeam.hub.card import ModelCard as ModelCard
from hornbeam.hub.loading import download as download
from hornbeam.hub.loading import load as load
from hornbeam.hub.pushing import prepare as prepare
from hornbeam.hub.pushing import push as push
