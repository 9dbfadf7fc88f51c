# The build context of all cases here, made anew for each test: git keeps no times, modes or links.
umask 022
mkdir -p dir/sub/deep dir/empty src/lib src/docs priv/inner
echo one >one.txt
echo two >two.txt
echo in >dir/in.txt
echo deep >dir/sub/deep/f.txt
echo code >src/main.c
echo lib >src/lib/lib.c
echo header >src/lib/lib.h
echo words >src/docs/read.md
echo hidden >src/.hidden
echo secret >priv/inner/key
echo x >exec.sh
printf 'root:x:0:0::/:/bin/sh\napp:x:12:34::/:/bin/sh\n' >passwd
printf 'root:x:0:\nweb:x:56:app\n' >group
ln -s one.txt to-one
ln -s dir to-dir
ln -s ../one.txt dir/up
ln -s nowhere dangling
ln src/main.c src/hard.c
chmod 755 exec.sh
chmod 4711 two.txt
chmod 700 priv
chmod 600 priv/inner/key
chmod 1777 dir/empty
mkdir tree
echo packed >tree/p.txt
ln -s p.txt tree/link
chmod 640 tree/p.txt
tar --sort=name --owner=7 --group=8 --mtime=@946684800 -C tree -cf a.tar .
gzip -n <a.tar >a.tgz
find . -exec touch -h -d @1000000000 {} +
