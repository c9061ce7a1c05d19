// SPDX-License-Identifier: Apache-2.0

// Package schema embeds the OVSDB schemas that Woven is written for: OVN 25.03 and Open vSwitch 3.5.
// README.md says where they come from.
package schema

import _ "embed"

var (
	// NB is the schema of the OVN_Northbound database.
	//go:embed ovn-nb.ovsschema
	NB []byte
	// SB is the schema of the OVN_Southbound database.
	//go:embed ovn-sb.ovsschema
	SB []byte
	// VS is the schema of the Open_vSwitch database.
	//go:embed vswitch.ovsschema
	VS []byte
)
