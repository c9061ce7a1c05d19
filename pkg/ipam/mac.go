// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/wovensdn/woven/pkg/model"
)

// MACSource proposes the MAC of an owner's port; attempt is the number of proposals that were already in use. The
// caller sets the bits of the first octet that make it a locally administered unicast address.
type MACSource func(subnet, owner string, attempt int) [6]byte

// HashMAC is the default [MACSource]: a hash of subnet, owner and attempt, so that a proposal depends on nothing but
// its input.
func HashMAC(subnet, owner string, attempt int) [6]byte {
	var input []byte
	for _, part := range []string{subnet, owner} {
		input = binary.AppendUvarint(input, uint64(len(part)))
		input = append(input, part...)
	}
	input = binary.AppendVarint(input, int64(attempt))
	sum := sha256.Sum256(input)
	return [6]byte(sum[:6])
}

// localMAC makes a proposal a locally administered unicast address (IEEE 802-2014, 8.4).
func localMAC(proposal [6]byte) string {
	proposal[0] = proposal[0]&^0x01 | 0x02
	return model.MACText(proposal)
}

// normalMAC returns a unicast MAC in lower case with colons; empty stays empty.
func normalMAC(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	mac, err := model.ParseMAC(text)
	if err != nil {
		return "", invalidf("MAC %q: %s", text, err)
	}
	return mac, nil
}
