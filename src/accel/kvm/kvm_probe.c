/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Does KVM work here?  For now: can it make a machine; see kvm_impl.h. */
#include "accel/kvm/kvm_impl.h"

int hull_kvm_probe(const struct hull_hal *hal, struct hull_accel_caps *ret, struct hull_err *err)
{
	return hull_fail(err, HULL_ENOTSUP, 203, "KVM is there, but was not measured");
}
