from hornbeam.text.tokenizer import EncodedBatch as EncodedBatch
from hornbeam.text.tokenizer import Tokenizer as Tokenizer
