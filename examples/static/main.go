// SPDX-License-Identifier: Apache-2.0

// A program that needs nothing of its image: it runs from scratch.
package main

import "fmt"

func main() {
	fmt.Println("a static program")
}
