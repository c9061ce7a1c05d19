package client_test

import (
	"fmt"

	"github.com/google/uuid"
)

func testUUID(i int) string {
	return uuid.NewSHA1(uuid.Nil, fmt.Appendf(nil, "row %d", i)).String()
}
