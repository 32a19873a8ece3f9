"""What a process asks the API server about itself: who it is, and what it may do."""

import msgspec

from pallet.api.meta import ObjectMeta
from pallet.api.resource import Resource


class AccessStatus(msgspec.Struct, frozen=True, gc=False):
    """The answer to a SelfSubjectAccessReview."""

    allowed: bool


class SelfSubjectAccessReview(msgspec.Struct, frozen=True, gc=False):
    """authorization.k8s.io/v1 SelfSubjectAccessReview, as answered."""

    status: AccessStatus
    metadata: ObjectMeta = ObjectMeta()


class UserInfo(msgspec.Struct, frozen=True, gc=False):
    """authentication.k8s.io/v1 UserInfo."""

    username: str


class SubjectStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The answer to a SelfSubjectReview."""

    user_info: UserInfo


class SelfSubjectReview(msgspec.Struct, frozen=True, gc=False):
    """authentication.k8s.io/v1 SelfSubjectReview, as answered."""

    status: SubjectStatus
    metadata: ObjectMeta = ObjectMeta()


SELF_SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", SelfSubjectAccessReview, namespaced=False
)
SELF_SUBJECT_REVIEWS = Resource(
    "authentication.k8s.io", "v1", "selfsubjectreviews", SelfSubjectReview, namespaced=False
)
