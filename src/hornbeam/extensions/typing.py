"""For extensions: types of arguments that several things are accepted for, under TYPE_CHECKING alone."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hornbeam._internal.typing import ActivationLike as ActivationLike
    from hornbeam._internal.typing import Tree as Tree
    from hornbeam.core.typing import ConstraintLike as ConstraintLike
    from hornbeam.core.typing import InitializerLike as InitializerLike
    from hornbeam.core.typing import RegularizerLike as RegularizerLike
    from hornbeam.core.typing import TensorLike as TensorLike
    from hornbeam.core.typing import TensorTree as TensorTree
